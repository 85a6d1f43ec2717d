"""``python -m cli`` is ``keyturn``, from a checkout."""

from cli.main import run

if __name__ == "__main__":
    run()
