"""`ktt`, the command line: runs the services embedded on a workspace folder."""
