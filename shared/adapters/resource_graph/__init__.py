"""Azure Resource Graph, over the ARM client."""
