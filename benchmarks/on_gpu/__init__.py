"""What only a GPU can tell, in commands that can be stopped at any moment and go on from their JSON file."""
