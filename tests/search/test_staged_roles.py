"""What a hyperparameter is, by its name."""

from __future__ import annotations

import pytest

from luthier.search.staged.roles import ORDERS, ROLES, grouped, role_of
from luthier.space import Choice, Float, Int, Space

KNOWN = {
    "learning rate": "lr rate learning_rate alpha step_size init_lr learningRate optimizer opt.adam.lr",
    "momentum": "momentum beta_1 beta1 beta_2 one_minus_beta_2 rho nesterov optimizer.sgd.momentum",
    "batch size": "batch batch_size batchSize bs",
    "units": "units units_2 n_units_1 width hidden hidden_size filters num_heads embedding_dim "
    "units_layer_1 layer_1_units units_per_layer layer_units hidden_layer_size units_block2 unitsLayer3",
    "layers": "layers num_layers n_layers depth n_blocks hidden_layers n_layer num_block layer_count",
    "decay": "decay lr_decay decay_rate schedule lr_schedule warmup_steps final_ratio gamma",
    "regularisation": "weight_decay l2 l1 wd lambda dropout dropout_rate label_smoothing "
    "reg_l2 kernel_l2 l2_1 layer_1_l2 dropout_layer_2",
    "others": "activation epsilon initializer c_17 seed batch_norm batchNorm use_batch_normalization_1 "
    "layer_norm activation_layer_1 layer_2_activation",
}


@pytest.mark.parametrize(
    ("name", "role"), [(name, role) for role, names in KNOWN.items() for name in names.split()]
)
def test_names_say_what_they_are(name, role):
    assert role_of(name) == role


def test_alpha_is_the_penalty_where_another_is_the_learning_rate():
    assert role_of("alpha", ["alpha", "units"]) == "learning rate"
    assert role_of("alpha", ["alpha", "learning_rate_init"]) == "regularisation"
    assert role_of("alpha", ["alpha", "solver"]) == "learning rate"


SPACE = Space(
    dropout=Float(0.0, 0.5),
    c_17=Int(1, 9),
    units=Int(8, 64),
    lr=Float(1e-4, 1.0, scale="log"),
    layers=Int(1, 4),
    decay=Choice("none", "cosine"),
)


BRANCHES = Space(opt=Choice({"a": Space(c=Int(1, 9)), "b": Space(c=Int(1, 9))}))


def test_every_hyperparameter_is_in_one_stage_whatever_the_order():
    for order in ORDERS.values():
        stages = grouped(SPACE, order, {})
        names = [name for _, members in stages for name in members]
        assert sorted(names) == sorted(SPACE.searched)
        assert stages[0] == ("learning rate", ("lr",))
        assert stages[-1] == ("others", ("c_17",))


def test_the_user_has_the_last_word():
    stages = grouped(SPACE, ORDERS["ng"], {"c_17": "units"})
    assert stages[1] == ("units", ("c_17", "units"))
    own = grouped(SPACE, (("dropout",), ("units", "lr")), {})
    assert own[:2] == (("dropout", ("dropout",)), ("units and lr", ("units", "lr")))
    assert own[2] == ("others", ("c_17", "layers", "decay"))
    both = grouped(BRANCHES, ORDERS["ng"], {"c": "layers", "opt.a.c": "units"})
    assert both[:2] == (("units", ("opt.a.c",)), ("layers", ("opt.b.c",)))  # full names count more
    assert set(ROLES) >= {role for order in ORDERS.values() for group in order for role in group}
