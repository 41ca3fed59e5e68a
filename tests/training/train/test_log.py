"""What a run tells of itself, also where the disk is full."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.full_disk import no_file_larger_than
from tests.training.train.runs import run
from training.train.log import RunLog, StepReport


def test_the_log_holds_what_is_watched_and_a_strip_of_pictures(config, tmp_path):
    run(config, tmp_path / "run")
    log = EventAccumulator(str(tmp_path / "run"), size_guidance={"scalars": 0, "images": 0}).Reload()
    watched = ("loss", "squared_error", "perceptual", "psnr", "gradient_norm", "learning_rate", "skipped_steps")
    assert {f"train/{name}" for name in watched} <= set(log.Tags()["scalars"])
    (speed,) = log.Scalars("speed/images_per_second")
    assert speed.value > 0
    assert "speed/model_flops_utilisation" not in log.Tags()["scalars"]  # this device's peak is not known
    (strip,) = log.Images("validation/inputs_truth_and_answer")
    assert (strip.width, strip.height) == ((4 + 2) * 16, 2 * 2 * 16)  # 4 inputs, 2 targets; 2 scenes, truth over answer


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_log_that_finds_the_disk_full_ends_with_a_sentence_and_the_run_goes_on(tmp_path, capsys):
    report = StepReport(0.1, 0.1, 0.0, 0.1, False)
    with no_file_larger_than(2000), RunLog(tmp_path / "run", 0, 200) as log:
        for step in range(200):
            log.step(step, report, 1e-3, 0, 1.0)
            log.validation(step, 20.0, 16, torch.zeros(3, 64, 64))
    assert capsys.readouterr().out.count("the log cannot be written (File too large), so the run goes on") == 1
