"""Measurements that need a GPU, as commands that can be interrupted at any time and continue from a JSON file."""
