"""Long work beside the server: a manager in it, and a process for each job."""
