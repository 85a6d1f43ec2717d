"""Event Grid, over ``azure-eventgrid``."""
