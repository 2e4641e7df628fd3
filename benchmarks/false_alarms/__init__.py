"""How often each timing rule calls the same code slower, and how often it sees a slowdown that is there."""
