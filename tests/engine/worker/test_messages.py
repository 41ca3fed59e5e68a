"""The wire format: what goes in comes out, safetensors reads it, and nothing else gets through."""

import contextlib
import io
import json
import struct
import tracemalloc

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lvsm_engine.errors import CHOOSE_PYTHON, KINDS, RESTART_ENGINE, LvsmError, WorkerError
from lvsm_engine.scene.camera import Camera, Distortion, View
from lvsm_engine.worker import messages
from lvsm_engine.worker.messages import Message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
ARRAYS = st.dictionaries(
    st.text(min_size=1).filter(lambda name: name != "__metadata__"),
    st.sampled_from(list(messages.DTYPES.values())).flatmap(
        lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4))
    ),
    max_size=3,
)


def to_bytes(message):
    return b"".join(bytes(part) for part in messages.encode(message))


def header_bytes(header, body=b""):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + body


def envelope(kind="x", number=0, fields=None):
    return {"lvsm": json.dumps({"kind": kind, "id": number, "fields": fields or {}})}


@given(st.text(), st.integers(0, 2**53), st.dictionaries(st.text(), JSON, max_size=3), ARRAYS)
def test_a_message_comes_out_as_it_went_in(kind, number, fields, arrays):
    stream = io.BytesIO(to_bytes(Message(kind, number, fields, arrays)) + to_bytes(Message("next")))
    message = messages.read(stream)
    assert (message.kind, message.id, message.fields) == (kind, number, fields)
    assert message.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(message.arrays[name], array)
        assert message.arrays[name].dtype == array.dtype
    assert messages.read(stream).kind == "next"
    assert messages.read(stream) is None


def test_safetensors_reads_our_bytes_and_we_read_its():
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([255], np.uint8)}
    theirs = safetensors.numpy.load(to_bytes(Message("x", 1, {}, arrays)))
    for name, array in arrays.items():
        np.testing.assert_array_equal(theirs[name], array)
    back = messages.read(io.BytesIO(safetensors.numpy.save(arrays, metadata=envelope("y", 3))))
    assert (back.kind, back.id) == ("y", 3)
    np.testing.assert_array_equal(back.arrays["a"], arrays["a"])


@given(st.binary(max_size=300))
def test_noise_is_refused_and_nothing_else_happens(noise):
    stream = io.BytesIO(noise)
    with contextlib.suppress(WorkerError):
        while messages.read(stream) is not None:
            pass


@given(st.data())
def test_a_message_with_one_changed_byte_is_read_or_refused(data):
    arrays = {"a": np.arange(6, dtype=np.float32)}
    good = bytearray(to_bytes(Message("x", 1, {"name": "value"}, arrays)))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WorkerError):
        messages.read(io.BytesIO(bytes(good)))


@pytest.mark.parametrize("kept", [1, 7, 8, 20, -1])
def test_a_message_cut_short_is_refused(kept):
    whole = to_bytes(Message("x", 1, {}, {"a": np.zeros(5, np.float32)}))
    with pytest.raises(WorkerError, match=r"an end after .*Restart the engine") as caught:
        messages.read(io.BytesIO(whole[:kept]))
    assert caught.value.remedy == RESTART_ENGINE


def array_entry(dtype="F32", shape=(4,), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (struct.pack("<Q", 2**60), "a header of 1152921504606846976 bytes"),
        (header_bytes(b"[]"), "cannot be read"),
        (header_bytes(b"[" * 5000), "cannot be read"),
        (header_bytes({"__metadata__": {}}), "cannot be read"),
        (header_bytes({"__metadata__": {"lvsm": '{"kind": 1, "id": 0, "fields": {}}'}}), "wrong types"),
        (header_bytes({"__metadata__": envelope(), "a": array_entry("PICKLE")}), "without a known type"),
        (header_bytes({"__metadata__": envelope(), "a": array_entry(shape=[-4])}), "impossible size"),
        (header_bytes({"__metadata__": envelope(), "a": array_entry(shape=[2**60], offsets=[0, 2**62])}), "impossible"),
        (
            header_bytes({"__metadata__": envelope(), "a": array_entry(shape=[2**30, 8], offsets=[0, 2**35])}),
            "impossible",
        ),
        (
            header_bytes({"__metadata__": envelope(), "a": array_entry(shape=[0, 2**32, 2**32], offsets=[0, 0])}),
            "impossible",
        ),
        (header_bytes({"__metadata__": envelope(), "a": array_entry(shape=[1] * 40)}), "impossible"),
        (header_bytes({"__metadata__": envelope(), "a": array_entry(offsets=[8, 24])}), "does not fill its place"),
        (header_bytes({"__metadata__": envelope(), "a": array_entry(shape=[5])}), "does not fill its place"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(content, words):
    tracemalloc.start()
    with pytest.raises(WorkerError, match=words):
        messages.read(io.BytesIO(content))
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


def test_a_body_that_is_claimed_but_never_comes_takes_no_memory():
    claim = header_bytes({"__metadata__": envelope(), "a": array_entry("U8", [2**32], [0, 2**32])})
    tracemalloc.start()
    with pytest.raises(WorkerError, match="an end after 3 of 4294967296 bytes"):
        messages.read(io.BytesIO(claim + b"abc"))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_views_and_cameras_survive_exactly():
    pose = np.eye(4)
    pose[:3, 3] = [1 / 3, np.pi, -1e-17]
    camera = Camera(pose, 500.1, 499.9, 319.7, 240.2, 640, 480)
    photo = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    views = [
        View(camera, photo, "Jos\u00e9 \u0434", distortion=Distortion("brown", (0.1, 0.2, 0.3, 0.4))),
        View(camera, messages.Path("/a b/\u0434.jpg"), "file"),
        View(camera, np.arange(5, dtype=np.uint8), "a file's bytes", mask=np.zeros((3, 3), np.uint8)),
    ]
    listed, arrays = messages.views_to_fields(views)
    message = messages.read(io.BytesIO(to_bytes(Message("render", 1, {"views": listed}, arrays))))
    first, second, third = messages.views_from_fields(message.fields["views"], message.arrays)
    np.testing.assert_array_equal(first.camera.camera_to_world, pose)
    np.testing.assert_array_equal(first.camera.fxfycxcy, camera.fxfycxcy)
    np.testing.assert_array_equal(first.photo, photo)
    assert (first.name, first.distortion) == (views[0].name, views[0].distortion)
    assert (second.photo, second.mask, second.distortion) == (views[1].photo, None, None)
    np.testing.assert_array_equal(third.photo, views[2].photo)
    np.testing.assert_array_equal(third.mask, views[2].mask)


@pytest.mark.parametrize("kind", KINDS.values())
def test_errors_keep_their_kind_sentence_and_remedy(kind):
    error = messages.error_from_fields(messages.error_to_fields(kind("A sentence.", CHOOSE_PYTHON)))
    assert type(error) is kind
    assert (str(error), error.remedy) == ("A sentence.", CHOOSE_PYTHON)
    assert isinstance(messages.error_from_fields({"kind": "Nonsense"}), LvsmError)
