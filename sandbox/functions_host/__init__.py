"""A Functions host on the real ``azure-functions-runtime``: what runs the app on the platform.

``python -m sandbox.functions_host APP_DIR`` indexes the app through the code that production runs
and does the host's part around it: queues, timers, HTTP and the Event Grid webhook.
"""
