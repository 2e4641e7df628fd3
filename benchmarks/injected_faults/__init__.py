"""Inject realistic faults into live pipelines, and record which guards catch each of them."""
