"""What Keyturn does, one module per step; each is given its ports and calls nothing else."""
