"""Samples survive what a kill does to a file, and are never mixed."""

import json
import subprocess
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import BadInput
from repro.evaluation.store import Sample, append_samples, claim_folder, read_samples, replace_samples


def sample(question: str, number: int = 0, text: str = "\\boxed{2}") -> Sample:
    drawn = ("MATH500", question, "sampled", number, 7, text, 10, 3, True, False)
    return Sample(*drawn, True, "correct", "identical", "2")


CHUNKS = [[sample("a", 0), sample("a", 1)], [sample("b", 0, "naïve ∑\n\u2028")], [sample("c", n) for n in range(5)]]


def written(folder: Path) -> tuple[Path, list[int]]:
    """A file of three chunks, and where each ends."""
    path, ends = folder / "samples.jsonl.zst", []
    path.unlink(missing_ok=True)
    for chunk in CHUNKS:
        append_samples(path, chunk)
        ends.append(path.stat().st_size)
    return path, ends


def test_what_is_appended_is_read_back_in_order_and_is_plain_compressed_json_lines(tmp_path):
    path, _ = written(tmp_path)
    assert read_samples(path) == [each for chunk in CHUNKS for each in chunk]
    with path.open("rb") as handle:
        text = zstandard.ZstdDecompressor().stream_reader(handle, read_across_frames=True).read().decode()
    assert [json.loads(line)["question_id"] for line in text.rstrip("\n").split("\n")] == list("aabccccc")


def test_no_file_means_no_samples(tmp_path):
    assert read_samples(tmp_path / "none.zst") == []


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_a_file_cut_anywhere_keeps_every_whole_chunk_and_nothing_else(tmp_path_factory, share):
    path, ends = written(tmp_path_factory.mktemp("cut"))
    size = round(share * ends[-1])
    path.write_bytes(path.read_bytes()[:size])
    whole = sum(end <= size for end in ends)
    kept = [each for chunk in CHUNKS[:whole] for each in chunk]
    if size not in (0, *ends):
        with pytest.raises(BadInput, match="the last chunk is cut off"):
            read_samples(path)
    assert read_samples(path, mend=True) == kept
    assert path.stat().st_size == (ends[whole - 1] if whole else 0)
    append_samples(path, [sample("z")])
    assert read_samples(path) == [*kept, sample("z")]


def test_a_flipped_byte_is_an_error_and_not_a_shorter_file(tmp_path):
    path, ends = written(tmp_path)
    content = bytearray(path.read_bytes())
    content[ends[0]] ^= 0xFF  # the second chunk's first byte
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"damaged at byte"):
        read_samples(path, mend=True)


def test_a_sample_stored_twice_is_an_error(tmp_path):
    path, _ = written(tmp_path)
    append_samples(path, [sample("b", 0)])
    with pytest.raises(BadInput, match=r"\('MATH500', 'b', 'sampled', 0\) is stored twice"):
        read_samples(path)


def test_replacing_is_whole_and_leaves_no_temporary_file(tmp_path):
    path, _ = written(tmp_path)
    replace_samples(path, [sample("n", number) for number in range(7)], chunk=3)
    assert [each.sample for each in read_samples(path)] == list(range(7))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_file_is_read_by_the_common_tool(tmp_path):
    path, _ = written(tmp_path)
    try:
        done = subprocess.run(["zstdcat", str(path)], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("zstdcat is not installed")
    assert done.stdout.count("\n") == 8


def test_a_folder_takes_samples_of_one_identity_only(tmp_path):
    identity = {"model": {"name": "a", "sha256": "1" * 64}, "seed": 0, "stop_token_ids": [1, 2]}
    claim_folder(tmp_path, identity)
    claim_folder(tmp_path, dict(identity))
    with pytest.raises(BadInput, match=r"samples of another model: .*\"a\".* now .*\"b\".*choose another"):
        claim_folder(tmp_path, {**identity, "model": {"name": "b", "sha256": "2" * 64}, "seed": 1})
    with pytest.raises(BadInput, match="another seed: 0, now 1"):
        claim_folder(tmp_path, {**identity, "seed": 1})


def test_samples_without_an_identity_are_not_adopted(tmp_path):
    append_samples(tmp_path / "samples.jsonl.zst", CHUNKS[0])
    with pytest.raises(BadInput, match=r"holds samples without config\.json"):
        claim_folder(tmp_path, {"seed": 0})
