"""Azure Resource Manager, over ``azure-mgmt-core``."""
