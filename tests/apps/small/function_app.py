"""A small app that shows, in the queue ``results``, what the host gave to its functions."""

import json
import logging
import os
import time
from typing import List  # noqa: UP035 - see on_step

import azure.functions as func

app = func.FunctionApp()
STORAGE = "AzureWebJobsStorage"
logger = logging.getLogger("small")


@app.event_grid_trigger(arg_name="event")
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def on_event(event: func.EventGridEvent, results: func.Out[str]) -> None:
    if event.id == "boom":
        raise ValueError("this event is refused")
    kind = event.type if isinstance(event, func.CloudEvent) else event.event_type
    results.set(json.dumps({"event": event.id, "kind": kind}))


@app.queue_trigger(arg_name="message", queue_name="%STEPS_QUEUE%", connection=STORAGE)
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def on_step(message: func.QueueMessage, results: func.Out[List[str]]) -> None:  # noqa: UP006 - the runtime refuses list[str]
    text = message.get_body().decode()
    logger.info("step %s", text)
    if text.startswith("boom"):
        raise ValueError(f"{text}, attempt {message.dequeue_count}")
    if text.startswith("sleep"):
        time.sleep(float(text.split()[1]))
    results.set([json.dumps({"step": text, "attempt": message.dequeue_count, "id": message.id})])


@app.queue_trigger(arg_name="message", queue_name="%STEPS_QUEUE%-poison", connection=STORAGE)
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def on_poison(message: func.QueueMessage, results: func.Out[str]) -> None:
    text = message.get_body().decode()
    if text == "stuck":
        raise ValueError(text)
    results.set(json.dumps({"poison": text}))


@app.timer_trigger(arg_name="timer", schedule="%TICKS%", run_on_startup=False)
@app.queue_output(arg_name="results", queue_name="results", connection=STORAGE)
def on_tick(timer: func.TimerRequest, results: func.Out[str]) -> None:
    results.set(json.dumps({"tick": timer.schedule_status, "past_due": timer.past_due}))


@app.route(route="items/{name}", methods=["GET", "POST"])
def item(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "query": dict(req.params),
        "route": dict(req.route_params),
        "header": req.headers.get("X-Asked"),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(
        json.dumps(seen),
        status_code=201,
        mimetype="application/json",
        headers={"X-Given": "yes", "Set-Cookie": "seen=1; Path=/; HttpOnly; SameSite=Strict"},
    )


@app.route(route="items/special", auth_level=func.AuthLevel.ANONYMOUS)
def special(req: func.HttpRequest) -> str:  # noqa: ARG001 - the trigger's
    return "special"


@app.route(route="locked", auth_level=func.AuthLevel.ADMIN)
def locked(req: func.HttpRequest) -> str:  # noqa: ARG001 - the trigger's
    return "unlocked"


@app.route(route="broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> str:  # noqa: ARG001 - the trigger's
    raise ValueError("a secret of the app")


@app.route(route="files/{*path}", auth_level=func.AuthLevel.ANONYMOUS)
async def files(req: func.HttpRequest) -> str:
    return req.route_params["path"]


@app.route(route="headers", auth_level=func.AuthLevel.ANONYMOUS)
def headers(req: func.HttpRequest) -> str:
    return json.dumps(dict(req.headers))


@app.route(route="setting", auth_level=func.AuthLevel.ANONYMOUS)
def setting(req: func.HttpRequest) -> str:  # noqa: ARG001 - the trigger's
    return json.dumps({name: os.environ.get(name) for name in ["WEBSITE_AUTH_ENABLED"]})
