import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnrisk.errors import GuardError
from churnrisk.store import check_colour_jump

MIX = st.fixed_dictionaries({c: st.integers(0, 10_000) for c in ("red", "amber", "green", "grey")})


def test_a_jump_is_refused_with_old_and_new_share_and_the_way_out():
    with pytest.raises(GuardError, match=r"red from 5\.0% to 50\.0%.* since run 3 .*--force") as caught:
        check_colour_jump({"red": 5000, "green": 5000}, {"red": 500, "green": 9500}, since="run 3")
    assert caught.value.exit_code == 4


def test_a_small_change_passes():
    check_colour_jump({"red": 1000, "green": 9000}, {"red": 500, "green": 9500})


def test_few_accounts_may_move_more():
    few_now, few_before = {"red": 4, "green": 6}, {"red": 1, "green": 9}
    check_colour_jump(few_now, few_before)
    with pytest.raises(GuardError):
        check_colour_jump({"red": 4000, "green": 6000}, {"red": 1000, "green": 9000})


def test_the_first_run_is_never_refused():
    check_colour_jump({"red": 100}, {})


def test_a_run_in_which_everybody_vanished_is_refused():
    with pytest.raises(GuardError):
        check_colour_jump({}, {"green": 100})


@given(MIX)
def test_the_same_mix_always_passes(mix):
    check_colour_jump(mix, mix, 0.01)


@given(MIX, MIX)
def test_no_limit_refuses_nothing(new, old):
    check_colour_jump(new | {"red": new["red"] + 1}, old, 1.0)
