"""`python -m gateway [--config FILE]`: one gateway worker, as replicas run it."""

from gateway.worker import main

if __name__ == "__main__":
    raise SystemExit(main())
