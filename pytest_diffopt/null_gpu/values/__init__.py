"""Values on the null GPU: each operation is computed by the CPU on the very same memory."""
