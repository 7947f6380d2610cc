from __future__ import annotations

from tasks.config import Experiment
from tasks.workers.order import with_batch_size


def test_an_order_with_another_batch_size_differs_in_that_alone(planned, images, tmp_path):
    backbones = {"ncnn": {"size": 34, "training": {"epochs": 7}}, "vgg16": {"size": 32}}
    order = planned(images, tmp_path, backbones=backbones).order("fold", ("ncnn", 0))
    smaller = with_batch_size(order, 3)
    before, after = (Experiment.model_validate(own.experiment) for own in (order, smaller))
    assert after.training_of("ncnn") == before.training_of("ncnn").model_copy(update={"batch_size": 3})
    assert after.training_of("vgg16") == before.training_of("vgg16")
    assert smaller.state_file == order.state_file


def test_only_fold_runs_keep_a_fits_state_each_its_own_and_it_can_be_forgotten(planned, images, tmp_path):
    plan = planned(images, tmp_path)
    files = {plan.order("fold", ("ncnn", fold)).state_file for fold in range(2)}
    assert len(files) == 2
    assert plan.order("features", ("ncnn", -1)).state_file == ""
    file = plan.state_file(("ncnn", 0))
    assert str(file) in files
    file.parent.mkdir()
    for name in (file.name, f"{file.stem}.77.tmp", plan.state_file(("ncnn", 1)).name):
        (file.parent / name).write_bytes(b"x")
    plan.forget_fit(("ncnn", 0))
    assert list(file.parent.iterdir()) == [plan.state_file(("ncnn", 1))]
