"""What the Functions host loads: checks the settings, registers blueprints, holds no logic.

With a bad setting nothing is indexed, so nothing runs: steps wait in their queue, Event Grid tries
again, and the log lists every problem.
"""

import azure.functions as func

from functions import key_events, poison, rotation_steps, rotations_api, steering_api, sweeps
from shared.settings import Settings
from shared.wiring import STEPS_QUEUE, Wiring

settings = Settings.from_env()
wiring = Wiring(settings)

app = func.FunctionApp()
app.register_functions(
    key_events.blueprint(queue=STEPS_QUEUE, cloud=settings.cloud, vaults=settings.vaults)
)
app.register_functions(rotation_steps.blueprint(lambda: wiring.run_step, queue=STEPS_QUEUE))
app.register_functions(poison.blueprint(lambda: wiring.bury_step, queue=STEPS_QUEUE))
app.register_functions(
    sweeps.blueprint(queue=STEPS_QUEUE, vaults=settings.vaults, schedule=settings.sweep_schedule)
)
app.register_functions(
    rotations_api.blueprint(
        lambda: wiring.ask,
        lambda: wiring.report,
        cloud=settings.cloud,
        vaults=settings.vaults,
    )
)
app.register_functions(steering_api.blueprint(lambda: wiring.steer))
