# The engine as a process of its own: reads messages on what was stdin when it began, answers on what was stdout.
# This file alone must run in any Python, however old or bare: it says then, in one message, what is missing.
import json
import os
import struct
import sys

OLDEST_PYTHON = (3, 10)


def set_pipes_aside():
    """Keep the real stdin and stdout for messages: what libraries print goes to the log, what they read is empty.

    On Windows a library that is loaded while a thread waits at stdin's pipe would wait with it (numpy issue 24290).
    """
    inbox, channel = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return inbox, channel


def refuse(channel, sentence, remedy):
    """Say why there is no engine here, and end. The bytes are messages.encode's, by hand."""
    fields = {"kind": "WorkerError", "sentence": sentence, "remedy": remedy}
    text = json.dumps({"kind": "error", "id": 0, "fields": fields})
    header = json.dumps({"__metadata__": {"lvsm": text}}).encode("ascii")
    header += b" " * (-len(header) % 8)
    channel.write(struct.pack("<Q", len(header)) + header)
    channel.flush()
    sys.exit(1)


def main():
    inbox, channel = set_pipes_aside()
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        sentence = "The engine needs Python {}.{} or newer, and {} is {}: choose another Python."
        refuse(channel, sentence.format(OLDEST_PYTHON[0], OLDEST_PYTHON[1], sys.executable, version), "choose_python")
    try:
        from lvsm_engine.worker.server import serve
    except (ImportError, OSError) as error:  # OSError: a library of torch's that Windows cannot load
        sentence = (
            "The Python at {} cannot run the engine ({}): install torch, numpy, safetensors, pillow and"
            " opencv-python-headless there, or choose another Python."
        )
        refuse(channel, sentence.format(sys.executable, error), "install_packages")
    serve(inbox, channel)


if __name__ == "__main__":
    main()
