"""Steps of this repository's workflows; they use only the standard library, so that jobs install nothing."""
