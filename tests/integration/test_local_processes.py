"""Containers as processes of this machine, without an API server: what a kubelet asks of its runtime."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from airflow_spark_k8s.local.addresses import PodAddresses
from airflow_spark_k8s.local.container_layout import Machine
from airflow_spark_k8s.local.kubelet_runtime import (
    ContainerPlan,
    ContainerStartError,
    Exit,
    LogOptions,
    Mount,
    PullResult,
    VolumeFile,
)
from airflow_spark_k8s.local.process_runtime import ProcessRuntime, RuntimeSettings
from airflow_spark_k8s.local.spark_images import images_of

pytestmark = pytest.mark.timeout(60)

MIB = 1024 * 1024
POD = {
    "metadata": {"name": "pod", "namespace": "default", "uid": "uid-1"},
    "spec": {"containers": [{"name": "main", "ports": [{"name": "web", "containerPort": 8099}]}]},
}
PLAN = ContainerPlan(
    name="main",
    image="busybox",
    command=("sh", "-c"),
    args=("true",),
    env={},
    working_dir=None,
    mounts=(),
    memory_limit_bytes=None,
    cpu_limit_millicores=None,
    termination_message_path="/dev/termination-log",
    termination_message_policy="File",
    init=False,
    restart_count=0,
    pre_stop=None,
)


class Node:
    """A runtime and what its containers reported."""

    def __init__(self, folder: Path, images: dict[str, str] | None = None, **settings: Any) -> None:
        machine = Machine(Path("/nowhere"), java_options=(), claims_folder=folder / "claims", base_env={})
        self.folder = folder
        self.runtime = ProcessRuntime(
            asyncio.get_running_loop(),
            RuntimeSettings(
                folder / "pods", images_of(images or {}, Path("/nowhere"), "4.3.0"), machine, **settings
            ),
            addresses=PodAddresses(random.Random()),
            wall_clock=lambda: datetime.now(UTC),
        )

    def start(self, script: str, **plan: Any) -> asyncio.Future[Exit]:
        done: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.runtime.start(POD, replace(PLAN, **{"args": (script,), **plan}), done.set_result)
        return done

    async def run(self, script: str, **plan: Any) -> Exit:
        return await self.start(script, **plan)

    def log(self) -> str:
        return self.runtime.logs("uid-1", "main", LogOptions()).decode()

    async def says(self, text: str) -> None:
        await until(lambda: text in self.log())

    async def probe(self, probe: dict[str, Any]) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.runtime.probe(POD, PLAN, probe, done.set_result)
        return await done


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    yield node
    await node.runtime.close()
    assert list((tmp_path / "pods").glob("*")) == []


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (files and processes tell nobody)
        await asyncio.sleep(0.01)


def running(word: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if word in " ".join(p.info["cmdline"] or [])]


@pytest.mark.parametrize(
    ("script", "exit_code", "reason", "number"),
    [
        pytest.param("exit 0", 0, "Completed", None, id="success"),
        pytest.param("exit 3", 3, "Error", None, id="failure"),
        pytest.param("kill -KILL $$", 137, "Error", 9, id="killed"),
        pytest.param("kill -SEGV $$", 139, "Error", 11, id="crashed"),
    ],
)
async def test_how_a_container_ends(
    node: Node, script: str, exit_code: int, reason: str, number: int | None
) -> None:
    exit_ = await node.run(script)
    assert (exit_.exit_code, exit_.reason, exit_.signal) == (exit_code, reason, number)
    assert exit_.started_at <= exit_.finished_at


async def test_a_command_that_does_not_exist_is_a_start_error_as_runc_words_it(node: Node) -> None:
    exit_ = await node.run("", command=("/nope",))
    assert (exit_.exit_code, exit_.reason) == (128, "StartError")
    assert exit_.message.endswith('exec: "/nope": stat /nope: no such file or directory')
    exit_ = await node.run("", command=("nope",), restart_count=1)
    assert exit_.message.endswith('exec: "nope": executable file not found in $PATH')


async def test_an_image_without_entry_point_needs_a_command(node: Node) -> None:
    with pytest.raises(ContainerStartError, match="no command specified"):
        node.runtime.start(POD, replace(PLAN, command=(), args=()), lambda _: None)


async def test_standard_output_and_error_come_in_order(node: Node) -> None:
    await node.run("echo one; echo two >&2; echo three")
    assert node.log() == "one\ntwo\nthree\n"


async def test_the_log_of_the_instance_before_is_kept(node: Node) -> None:
    await node.run("echo first")
    with pytest.raises(LookupError):
        node.runtime.logs("uid-1", "main", LogOptions(previous=True))
    await node.run("echo second", restart_count=1)
    assert node.runtime.logs("uid-1", "main", LogOptions(previous=True)) == b"first\n"
    assert node.log() == "second\n"
    with pytest.raises(LookupError):
        node.runtime.logs("uid-1", "other", LogOptions())


async def test_following_a_log_until_the_container_ends(node: Node) -> None:
    done = node.start(
        "echo one; mkfifo /data/fifo; read line < /data/fifo; echo two",
        mounts=(Mount("/data", "d", "emptyDir"),),
    )
    await node.says("one")
    heard: list[bytes] = []
    ended = asyncio.Event()
    node.runtime.follow("uid-1", "main", LogOptions(), heard.append, ended.set)
    assert b"".join(heard) == b"one\n"
    node.runtime.stop(POD, "main", grace_seconds=0, pre_stop=None)
    await done
    assert ended.is_set()


async def test_variables_are_those_of_the_plan_and_nothing_of_this_process(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "1")
    await node.run("env", env={"A": "x=/tmp/y", "HOSTNAME": "mine"})
    env = dict(line.split("=", 1) for line in node.log().splitlines())
    assert env["A"] == f"x={env['TMPDIR']}/y"
    assert env["HOSTNAME"] == "mine"
    assert env["SPARK_LOCAL_IP"] == node.runtime.pod_address(POD)
    assert "LEAK" not in env


async def test_the_python_of_a_plain_image_is_the_running_one(node: Node) -> None:
    await node.run("python -c 'import sys; print(sys.prefix)'", image="python:3.12")
    assert node.log().strip() == sys.prefix


async def test_files_of_a_volume_are_found_under_their_mount_path_and_name_real_paths(node: Node) -> None:
    files = (VolumeFile("a/b.txt", b"see /data/x"), VolumeFile("run.sh", b"#!/bin/sh\necho ran\n", 0o755))
    mounts = (Mount("/etc/app", "conf", "files", files), Mount("/data", "d", "emptyDir"))
    exit_ = await node.run(
        "echo hi > /data/x; cat $(cut -d' ' -f2 /etc/app/a/b.txt); /etc/app/run.sh", mounts=mounts
    )
    assert exit_.exit_code == 0
    assert node.log() == "hi\nran\n"


async def test_credentials_of_the_service_account_are_not_rewritten_and_fabric8_is_led_to_them(
    node: Node,
) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    files = (VolumeFile("token", b"ey/tmp/x"), VolumeFile("ca.crt", b"CA"), VolumeFile("namespace", b"n"))
    await node.run(
        f"cat {folder}/token; echo; cat $KUBERNETES_CERTS_CA_FILE $KUBERNETES_AUTH_SERVICEACCOUNT_TOKEN",
        mounts=(Mount(folder, "kube-api-access", "files", files, read_only=True),),
    )
    assert node.log() == "ey/tmp/x\nCAey/tmp/x\n"


async def test_an_empty_dir_is_shared_in_the_pod_and_goes_with_it(node: Node) -> None:
    mounts = (Mount("/share", "s", "emptyDir"),)
    await node.run("echo from-first > /share/file", mounts=mounts, name="first")
    await node.run("cat /share/file", mounts=mounts)
    assert node.log() == "from-first\n"
    node.runtime.discard(POD)
    await until(lambda: not (node.folder / "pods" / "1").exists())


async def test_a_claim_outlives_its_pod(node: Node) -> None:
    mounts = (Mount("/keep", "v", "persistentVolumeClaim", source="claim"),)
    await node.run("echo kept > /keep/file", mounts=mounts)
    other = {**POD, "metadata": {"name": "other", "namespace": "default", "uid": "uid-2"}}
    done: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    node.runtime.discard(POD)
    node.runtime.start(other, replace(PLAN, args=("cat /keep/file",), mounts=mounts), done.set_result)
    await done
    assert node.runtime.logs("uid-2", "main", LogOptions()) == b"kept\n"


async def test_host_paths_and_sub_paths(node: Node, tmp_path: Path) -> None:
    (tmp_path / "host" / "below").mkdir(parents=True)
    (tmp_path / "host" / "below" / "x").write_text("host\n")
    mounts = (
        Mount("/h", "h", "hostPath", source=str(tmp_path / "host"), sub_path="below"),
        Mount("/etc/one.conf", "c", "files", (VolumeFile("one", b"1\n"),), sub_path="one"),
    )
    await node.run("cat /h/x /etc/one.conf", mounts=mounts)
    assert node.log() == "host\n1\n"


async def test_the_working_directory_is_the_containers_own(node: Node) -> None:
    await node.run("echo x > here; pwd")
    first = Path(node.log().strip())
    assert (first / "here").exists()
    await node.run("pwd", working_dir="/srv/app", restart_count=1)
    assert Path(node.log().strip()) != first
    await node.run("pwd; ls /usr/bin/env", working_dir="/usr", restart_count=2)
    assert node.log() == "/usr\n/usr/bin/env\n"


async def test_a_file_name_that_cannot_be_is_a_start_error(node: Node) -> None:
    mounts = (Mount("/etc/app", "c", "files", (VolumeFile("x" * 300, b""),)),)
    with pytest.raises(ContainerStartError, match="cannot set up the container"):
        node.runtime.start(POD, replace(PLAN, mounts=mounts), lambda _: None)


async def test_sockets_can_be_made_in_the_temporary_folder() -> None:
    script = "import multiprocessing as m; x = m.Manager(); print(x.list([1]))"
    with tempfile.TemporaryDirectory(prefix="airflow-spark-k8s-") as folder:
        node = Node(Path(folder))
        exit_ = await node.run(f"python -c '{script}'", name="spark-kubernetes-executor")
        await node.runtime.close()
    assert exit_.exit_code == 0


async def test_a_mounted_spark_configuration_is_used(tmp_path: Path) -> None:
    node = Node(tmp_path, images={"team/spark:1": fake_spark(tmp_path / "home")})
    mounts = (Mount("/opt/spark/conf", "c", "files", (VolumeFile("spark-defaults.conf", b""),)),)
    await node.run("ls $SPARK_CONF_DIR /opt/spark/conf", image="team/spark:1", mounts=mounts)
    assert node.log().count("spark-defaults.conf") == 2
    await node.runtime.close()


async def test_last_words(node: Node) -> None:
    assert (await node.run("printf bye > /dev/termination-log")).message == "bye"
    exit_ = await node.run(
        "echo boom; exit 1", termination_message_policy="FallbackToLogsOnError", restart_count=1
    )
    assert exit_.message == "boom\n"


async def test_sigterm_that_is_handled_ends_the_container_its_own_way(node: Node) -> None:
    done = node.start("trap 'echo got term; exit 0' TERM; echo ready; while true; do sleep 0.05; done")
    await node.says("ready")
    node.runtime.stop(POD, "main", grace_seconds=30, pre_stop=None)
    exit_ = await done
    assert (exit_.exit_code, exit_.reason) == (0, "Completed")
    assert node.log().endswith("got term\n")


async def test_sigterm_without_handler_is_ignored_by_a_first_process_until_the_grace_period_ends(
    node: Node,
) -> None:
    done = node.start("echo ready; exec sleep 300")
    await node.says("ready")
    node.runtime.stop(POD, "main", grace_seconds=0.3, pre_stop=None)
    exit_ = await done
    assert (exit_.exit_code, exit_.signal, exit_.reason) == (137, 9, "Error")


async def test_a_shorter_grace_period_shortens_the_wait(node: Node) -> None:
    done = node.start("echo ready; exec sleep 300")
    await node.says("ready")
    node.runtime.stop(POD, "main", grace_seconds=300, pre_stop=None)
    node.runtime.stop(POD, "main", grace_seconds=0, pre_stop=None)
    assert (await done).exit_code == 137


async def test_the_hook_comes_before_sigterm(node: Node) -> None:
    done = node.start(
        "trap 'cat /tmp/hook; echo term; exit 0' TERM; echo ready; while true; do sleep 0.05; done"
    )
    await node.says("ready")
    hook = {"exec": {"command": ["sh", "-c", "sleep 0.1; echo hook > /tmp/hook"]}}
    node.runtime.stop(POD, "main", grace_seconds=30, pre_stop=hook)
    assert (await done).exit_code == 0
    assert node.log() == "ready\nhook\nterm\n"


async def test_a_hook_that_never_ends_leaves_two_seconds(node: Node) -> None:
    done = node.start("trap 'echo term; exit 0' TERM; echo ready; while true; do sleep 0.05; done")
    await node.says("ready")
    node.runtime.stop(POD, "main", grace_seconds=0.2, pre_stop={"exec": {"command": ["sleep", "300"]}})
    assert (await done).exit_code == 0


async def test_nothing_of_a_container_outlives_its_main_process(node: Node) -> None:
    word = f"31{random.randrange(10**6):06d}"
    exit_ = await node.run(f"(setsid sleep {word} &); sleep {word} & nohup sleep {word} & echo started")
    assert exit_.exit_code == 0
    assert running(word) == []


async def test_discarding_a_pod_kills_its_processes_and_reports_nothing(node: Node) -> None:
    word = f"32{random.randrange(10**6):06d}"
    done = node.start(f"(setsid sleep {word} &); echo ready; exec sleep {word}")
    await node.says("ready")
    node.runtime.discard(POD)
    await until(lambda: not running(word))
    assert not done.done()


HOG = "x = bytearray({mib} * 2**20)\nfor i in range(0, len(x), 4096): x[i] = 1\n"


async def test_a_container_above_its_memory_limit_is_killed_as_a_whole(node: Node) -> None:
    hog = (HOG + "import time; time.sleep(300)").format(mib=200)
    exit_ = await node.run(f"python -c '{hog}' & wait", memory_limit_bytes=100 * MIB)
    assert (exit_.exit_code, exit_.signal, exit_.reason) == (137, 9, "OOMKilled")


async def test_a_container_below_its_memory_limit_lives(node: Node) -> None:
    hog = (HOG + "import time; time.sleep(0.6)").format(mib=50)
    exit_ = await node.run(f"python -c '{hog}'", memory_limit_bytes=100 * MIB)
    assert (exit_.exit_code, exit_.reason) == (0, "Completed")


async def test_pages_that_processes_share_count_once(node: Node) -> None:
    forks = "import os, time\n" + "\n".join("os.fork() or (time.sleep(1.0), os._exit(0))" for _ in range(4))
    script = (HOG + forks + "\ntime.sleep(1.0)").format(mib=60)
    exit_ = await node.run(f"python -c '{script}'", memory_limit_bytes=150 * MIB)
    assert (exit_.exit_code, exit_.reason) == (0, "Completed")


async def test_only_the_child_dies_where_the_kernel_chooses_a_process(tmp_path: Path) -> None:
    node = Node(tmp_path, oom="child")
    hog = (HOG + "import time; time.sleep(300)").format(mib=200)
    exit_ = await node.run(f"python -c '{hog}'; echo child=$?", memory_limit_bytes=100 * MIB)
    assert (exit_.exit_code, exit_.signal, exit_.reason) == (0, None, "OOMKilled")
    assert node.log() == "Killed\nchild=137\n" or node.log().endswith("child=137\n")
    await node.runtime.close()


async def test_probes(node: Node) -> None:
    address = node.runtime.pod_address(POD)
    node.start(f"python -u -m http.server --bind {address} 8099", image="python:3")
    while not await node.probe({"tcpSocket": {"port": "web"}}):  # noqa: ASYNC110 (somebody else's socket)
        await asyncio.sleep(0.05)
    assert await node.probe({"httpGet": {"port": "web", "path": "/"}, "timeoutSeconds": 5})
    assert not await node.probe({"httpGet": {"port": 8099, "path": "/none"}, "timeoutSeconds": 5})
    assert not await node.probe({"tcpSocket": {"port": "unknown"}})
    assert await node.probe({"exec": {"command": ["test", "-d", "/tmp"]}, "timeoutSeconds": 5})
    assert not await node.probe({"exec": {"command": ["false"]}, "timeoutSeconds": 5})


def fake_spark(home: Path) -> str:
    submit = home / "bin" / "spark-submit"
    submit.parent.mkdir(parents=True)
    submit.write_text('#!/bin/sh\necho "$SPARK_HOME" "$@"\n')
    submit.chmod(0o755)
    return str(home)


async def test_several_spark_versions_side_by_side(tmp_path: Path) -> None:
    images = {f"team/spark:{v}": fake_spark(tmp_path / "homes" / v) for v in ("3.5.9", "4.2.1")}
    node = Node(tmp_path, images=images)
    for number, version in enumerate(("3.5.9", "4.2.1")):
        args = ("driver", "--class", "Main", "/opt/spark/examples/app.jar")
        await node.run("", image=f"team/spark:{version}", command=(), args=args, restart_count=number)
        home = tmp_path / "homes" / version
        assert node.log().startswith(f"{home} --conf spark.driver.bindAddress=")
        assert node.log().endswith(f"--class Main {home}/examples/app.jar\n")
    await node.runtime.close()


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [
        pytest.param("other:1", "IfNotPresent", "ErrImagePull", id="an unknown image"),
        pytest.param("other:1", "Never", "ErrImageNeverPull", id="an unknown image that may not be pulled"),
        pytest.param("Not an image", None, "InvalidImageName", id="no image reference at all"),
    ],
)
async def test_images_that_cannot_be_had(node: Node, image: str, policy: str | None, reason: str) -> None:
    results: list[PullResult] = []
    node.runtime.pull(POD, {"image": image, "imagePullPolicy": policy}, results.append)
    assert results[0].image_id is None
    assert results[0].reason == reason
    assert image in results[0].message
    if reason == "ErrImagePull":
        assert "apache/spark:4.3." in results[0].message


SERVER = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_local_processes as t
async def main():
    node = t.Node(Path({folder!r}))
    node.start("(setsid sleep {word} &); echo ready; exec sleep {word}")
    await node.says("ready")
    print("ready", flush=True)
    await asyncio.sleep(300)
asyncio.run(main())
"""


async def test_containers_die_with_a_server_that_is_killed(tmp_path: Path) -> None:
    word = f"33{random.randrange(10**6):06d}"
    script = SERVER.format(tests=str(Path(__file__).parent), folder=str(tmp_path), word=word)
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert server.stdout is not None
    assert await server.stdout.readline() == b"ready\n"
    assert [p for p in running(word) if p.name() == "sleep"]
    server.send_signal(signal.SIGKILL)
    await server.wait()
    await until(lambda: not running(word))
