"""An app with effects outside, each of them one HTTP request: messages in ``effects``."""

import json
import os
import time
from urllib.request import urlopen

import azure.functions as func
from azure.storage.queue import QueueClient

app = func.FunctionApp()
STORAGE = "AzureWebJobsStorage"


def effect(text: str) -> None:
    with QueueClient.from_connection_string(os.environ[STORAGE], "effects") as queue:
        queue.send_message(text)


@app.queue_trigger(arg_name="message", queue_name="steps", connection=STORAGE)
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def on_step(message: func.QueueMessage, results: func.Out[str]) -> None:
    text = message.get_body().decode()
    for number in (1, 2, 3):
        effect(f"{text} {number}")
    if text == "boom":
        raise ValueError(text)
    if text.startswith("sleep"):
        time.sleep(float(text.split()[1]))
    results.set(f"{text}, attempt {message.dequeue_count}")


@app.queue_trigger(arg_name="message", queue_name="pages", connection=STORAGE)
def on_page(message: func.QueueMessage) -> None:
    """Fetch a page by the standard library, without any SDK."""
    with urlopen(message.get_body().decode(), timeout=30) as page:  # noqa: S310 - the test's
        effect(f"page {page.status}")


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def key_events(event: func.EventGridEvent, results: func.Out[str]) -> None:
    results.set(f"{event.event_type} {event.id}")


@app.timer_trigger(arg_name="timer", schedule="%TICKS%")
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def on_tick(timer: func.TimerRequest, results: func.Out[str]) -> None:
    results.set(f"tick {json.dumps(timer.schedule_status)}")


@app.route(route="instance")
def instance(req: func.HttpRequest) -> str:  # noqa: ARG001 - the trigger's
    return json.dumps(os.getpid())
