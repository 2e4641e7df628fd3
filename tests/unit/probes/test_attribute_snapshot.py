"""A snapshot restores attributes, and what is in their containers, in place."""

from types import SimpleNamespace

from pytest_diffopt.probes.attribute_snapshot import AttributeSnapshot


def test_attributes_are_restored() -> None:
    """Changed, removed and added ones."""
    thing = SimpleNamespace(changed=1, removed=2)
    snapshot = AttributeSnapshot()
    snapshot.keep(thing)
    thing.changed = thing.added = 3
    del thing.removed
    snapshot.restore()

    assert vars(thing) == {"changed": 1, "removed": 2}


def test_only_the_named_attributes_are_restored() -> None:
    """One that was absent is removed again; the same object can be recorded with other names."""
    thing = SimpleNamespace(one=1, two=2, own=3)
    snapshot = AttributeSnapshot()
    snapshot.keep(thing, ["one", "absent"])
    snapshot.keep(thing, ["two"])
    thing.one = thing.two = thing.own = thing.absent = 4
    snapshot.restore()

    assert vars(thing) == {"one": 1, "two": 2, "own": 4}


def test_containers_keep_their_identity() -> None:
    """Their contents are restored, also those of dictionaries in dictionaries."""
    thing = SimpleNamespace(order=["a"], hooks={"a": {"device": 1}}, seen={1})
    before = thing.order, thing.hooks, thing.hooks["a"], thing.seen
    snapshot = AttributeSnapshot()
    snapshot.keep(thing)
    thing.order.append("b")
    thing.hooks["a"]["device"] = 2
    thing.hooks["b"] = {}
    thing.seen.clear()
    snapshot.restore()

    assert vars(thing) == {"order": ["a"], "hooks": {"a": {"device": 1}}, "seen": {1}}
    assert all(map(lambda one, other: one is other, before, (thing.order, thing.hooks, thing.hooks["a"], thing.seen)))


def test_the_first_record_counts() -> None:
    """Recording an object again changes nothing."""
    thing = SimpleNamespace(value=1)
    snapshot = AttributeSnapshot()
    snapshot.keep(thing)
    thing.value = 2
    snapshot.keep(thing)
    snapshot.restore()

    assert thing.value == 1
