"""``python -m rsciio_xfm.cli``, where the folder of scripts is not on the path."""

from rsciio_xfm.cli import main

if __name__ == "__main__":
    main(prog_name="python -m rsciio_xfm.cli")
