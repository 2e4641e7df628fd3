"""The simulated device as a torch backend: tensors, dispatch, creation, modules."""
