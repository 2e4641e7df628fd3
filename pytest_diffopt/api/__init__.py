"""What a test calls: assertions and baseline gates."""
