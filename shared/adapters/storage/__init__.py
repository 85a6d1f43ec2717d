"""The app's own storage: rows in Azure Tables, steps in an Azure Storage queue."""
