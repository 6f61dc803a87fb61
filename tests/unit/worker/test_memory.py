from __future__ import annotations

from shared.worker.memory import Memory


def test_what_was_made_here_is_sure() -> None:
    """Exactly the object that was made, for exactly its resource."""
    memory = Memory()
    memory.remember("server", "vm-1", "s-1")
    assert memory.is_sure("server", "vm-1", "s-1")
    assert not memory.is_sure("server", "vm-1", "s-2")
    assert not memory.is_sure("server", "vm-2", "s-1")
    assert not memory.is_sure("port", "vm-1", "s-1")
    assert not memory.is_sure("server", "vm-3", None)


def test_a_second_object_puts_both_in_doubt() -> None:
    """Two servers of one VM must both be found before either is removed."""
    memory = Memory()
    for server in ("s-1", "s-2", "s-1"):
        memory.remember("server", "vm-1", server)
    assert not memory.is_sure("server", "vm-1", "s-1")
    assert not memory.is_sure("server", "vm-1", "s-2")


def test_doubt_and_forgetting_end_the_certainty() -> None:
    """After either, one has to look."""
    memory = Memory()
    for end in (memory.doubt, memory.forget):
        memory.remember("port", end.__name__, "p-1")
        end("port", end.__name__)
        assert not memory.is_sure("port", end.__name__, "p-1")


def test_the_memory_is_bounded() -> None:
    """The oldest are forgotten, which only costs a look."""
    memory = Memory(size=2)
    for number in range(3):
        memory.remember("server", f"vm-{number}", "s")
    assert [memory.is_sure("server", f"vm-{number}", "s") for number in range(3)] == [
        False,
        True,
        True,
    ]
