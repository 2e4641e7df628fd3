"""The name of the plugin that makes a pytest process a worker of the paired gate; the start of pytest asks for it."""

#: What `-p` loads in each process that the paired gate starts.
PAIRED_WORKER = "pytest_diffopt.paired.worker"
