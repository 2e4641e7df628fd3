"""How much of diffusers the simulated GPU runs: every tiny pipeline of diffusers' own tests, beside the CPU."""
