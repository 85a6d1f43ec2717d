"""What the Functions host loads: checks the settings, registers blueprints, holds no logic.

With a bad setting nothing is indexed, so nothing runs: steps wait in their queue, Event Grid tries
again, and the log lists every problem.
"""

import azure.functions as func

from functions import key_events, openapi, poison, queued_events, rotation_steps, sweeps
from functions.keys_api import KeysApi
from functions.operations import Api
from functions.rotations_api import RotationsApi
from functions.status_api import StatusApi
from shared.settings import Settings
from shared.wiring import EVENTS_QUEUE, STEPS_QUEUE, Wiring

settings = Settings.from_env()
wiring = Wiring(settings)

app = func.FunctionApp()
app.register_functions(
    key_events.blueprint(
        queue=STEPS_QUEUE, cloud=settings.cloud, vaults=settings.vaults, now=wiring.now
    )
)
app.register_functions(
    queued_events.blueprint(
        queue=STEPS_QUEUE,
        events=EVENTS_QUEUE,
        cloud=settings.cloud,
        vaults=settings.vaults,
        now=wiring.now,
    )
)
app.register_functions(rotation_steps.blueprint(lambda: wiring.steps, queue=STEPS_QUEUE))
app.register_functions(
    poison.blueprint(lambda: wiring.bury_step, queue=STEPS_QUEUE, events=EVENTS_QUEUE)
)
app.register_functions(
    sweeps.blueprint(
        queue=STEPS_QUEUE,
        vaults=settings.vaults,
        schedule=settings.sweep_schedule,
        now=wiring.now,
    )
)

api = Api(app_service_auth=settings.app_service_auth, audit=lambda: wiring.audit, now=wiring.now)
keys = KeysApi(
    show=lambda: wiring.show_keys,
    plan=lambda: wiring.plan_key,
    ask=lambda: wiring.ask,
    cloud=settings.cloud,
    vaults=settings.vaults,
    now=wiring.now,
)
rotations = RotationsApi(
    report=lambda: wiring.report,
    rotations=lambda: wiring.list_rotations,
    requests=lambda: wiring.list_requests,
    consumers=lambda: wiring.list_consumers,
    steer=lambda: wiring.steer,
    settle=lambda: wiring.settle_by_hand,
)
status = StatusApi(
    readiness=lambda: wiring.readiness,
    scope=lambda: wiring.scope,
    document=lambda: openapi.document(api.operations),
)
for part in (keys, rotations, status):
    app.register_functions(api.blueprint(part.operations()))
