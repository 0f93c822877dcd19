"""How many cores a process may use: its affinity and the quotas of the control groups above it."""

import os

import pytest

from ml.inference.cores import count_usable_cores, has_int8_units

ALL = len(os.sched_getaffinity(0))


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000\n", 16), ("250000 100000\n", 2), ("50000 100000\n", 1), ("9900000 100000\n", 16), ("nonsense\n", 16)],
)
def test_a_quota_counts_in_whole_cores(tmp_path, many_cores, quota, cores):
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", quota)
    assert count_usable_cores(tmp_path) == cores


def test_the_tightest_group_above_the_process_counts(tmp_path, many_cores):
    write(tmp_path, "proc/self/cgroup", "0::/system.slice/worker.service\n")
    write(tmp_path, "sys/fs/cgroup/system.slice/worker.service/cpu.max", "max 100000\n")
    write(tmp_path, "sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "800000 100000\n")
    assert count_usable_cores(tmp_path) == 3


def test_the_first_version_of_control_groups_is_read_too(tmp_path, many_cores):
    write(tmp_path, "proc/self/cgroup", "3:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")  # a container sees its own group at the top
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert count_usable_cores(tmp_path) == 4
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    assert count_usable_cores(tmp_path) == 16


def test_a_path_that_leads_out_of_the_groups_ends(tmp_path, many_cores):
    write(tmp_path, "proc/self/cgroup", "0::/../../init.scope\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert count_usable_cores(tmp_path) == 2


def test_without_control_groups_affinity_decides(tmp_path):
    assert count_usable_cores(tmp_path) == ALL
    assert 1 <= count_usable_cores() <= ALL


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512f", False), ("fpu avx_vnni", True), ("avx512_vnni amx_int8", True), ("avx_vnni_int8", False)],
)
def test_units_for_8_bits_are_read_from_the_processor(tmp_path, flags, expected):
    write(tmp_path, "proc/cpuinfo", f"processor\t: 0\nflags\t\t: {flags}\n")
    assert has_int8_units(tmp_path) is expected


def test_an_unknown_processor_has_no_such_units(tmp_path):
    assert not has_int8_units(tmp_path)
