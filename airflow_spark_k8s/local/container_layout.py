"""Where a container's paths are on this machine, and the command and variables that follow from it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.container_paths import SERVICE_ACCOUNT_FOLDER, PathMap
from airflow_spark_k8s.local.kubelet_runtime import ContainerPlan, Mount
from airflow_spark_k8s.local.spark_entrypoint import Command, SparkPlace, entry_point

SPARK_HOME = "/opt/spark"
WORK_FOLDER = "/opt/spark/work-dir"
DECOMMISSION_SCRIPT = "/opt/decom.sh"
ENTRY_POINT = "/opt/entrypoint.sh"
JAVA_HOME = "/opt/java/openjdk"

_DECOMMISSION = """#!/bin/sh
# Tells the executor to decommission itself and waits until it has ended, or the grace period is over.
pid=$(cat "$(dirname "$0")/main.pid") || exit 1
kill -PWR "$pid" || exit 1
while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """What every container of this machine shares."""

    java_home: Path
    java_options: tuple[str, ...]  # of every driver and executor, before their own
    claims_folder: Path  # persistent volumes by name
    base_env: Mapping[str, str]  # set in every container, the lowest precedence


@dataclass(frozen=True)
class Layout:
    """
    The folder of one instance of a container.

    :param pod_folder: folder of its pod; volumes are shared there.
    :param spark_home: None if the image has no Spark.
    """

    pod: Manifest
    plan: ContainerPlan
    pod_folder: Path
    spark_home: Path | None
    machine: Machine

    @property
    def folder(self) -> Path:
        """What belongs to this instance alone."""
        return self.pod_folder / "containers" / self.plan.name / str(self.plan.restart_count)

    @property
    def main_pid_file(self) -> Path:
        """Where the id of the main process is kept for the decommissioning script."""
        return self.folder / "main.pid"

    @property
    def termination_message_file(self) -> Path:
        """Where the container leaves its last words."""
        return self.folder / "termination-log"

    @property
    def temporary_folder(self) -> Path:
        """The container's /tmp; its path is kept short, for the sockets that programs make there."""
        return self.pod_folder / "tmp" / f"{self.plan.name}-{self.plan.restart_count}"

    @property
    def work_folder(self) -> Path:
        """Working directory of the image."""
        return self.folder / "work-dir"

    def paths(self) -> PathMap:
        """The container's paths and where they are."""
        places: dict[str, Path] = {
            "/tmp": self.temporary_folder,  # noqa: S108 (the container's, not this machine's)
            WORK_FOLDER: self.work_folder,
            self.plan.termination_message_path: self.termination_message_file,
        }
        if self.spark_home is not None:
            places[SPARK_HOME] = self.spark_home
            places[JAVA_HOME] = self.machine.java_home
            places[DECOMMISSION_SCRIPT] = self.folder / "decom.sh"
        for number, mount in enumerate(self.plan.mounts):
            places[mount.path.rstrip("/")] = self._target(number, mount)
        wanted = self.plan.working_dir
        if wanted and not PathMap(places).path(wanted).exists() and wanted not in places:
            # A folder of the image that is not here; runtimes make it if the image lacks it, too.
            places[wanted.rstrip("/")] = self.folder / "cwd"
        return PathMap(places)

    @property
    def memory_folders(self) -> tuple[Path, ...]:
        """Folders whose files count as memory of the container."""
        return tuple({self._source(n, mount) for n, mount in enumerate(self.plan.mounts) if mount.in_memory})

    def build(self, paths: PathMap) -> None:
        """Make the folders, volumes and files."""
        for folder in (self.temporary_folder, self.work_folder, self.folder / "home", self.folder / "cwd"):
            folder.mkdir(parents=True, exist_ok=True)
        script = self.folder / "decom.sh"
        script.write_text(_DECOMMISSION)
        script.chmod(0o755)
        for number, mount in enumerate(self.plan.mounts):
            self._fill(number, mount, paths)

    def command(self, paths: PathMap, address: str) -> Command | None:
        """What to execute; None if neither image nor pod names a command."""
        command, args = paths.texts(self.plan.command), paths.texts(self.plan.args)
        env = self._env(paths, address)
        if self.spark_home is None:
            return Command(command + args, env, has_init=False) if command + args else None
        if command[:1] == (ENTRY_POINT,):
            command, args = (), command[1:] + args
        if command:
            return Command(command + args, env, has_init=False)
        place = SparkPlace(
            spark_home=self.spark_home,
            java_home=self.machine.java_home,
            work_folder=self.directory(paths),
            temporary_folder=self.temporary_folder,
            java_options=self.machine.java_options,
        )
        return entry_point(args, env, place) if args else None

    def directory(self, paths: PathMap) -> Path:
        """Working directory of the main process."""
        folder = paths.path(self.plan.working_dir) if self.plan.working_dir else self.work_folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _env(self, paths: PathMap, address: str) -> dict[str, str]:
        bin_folders = [Path(sys.executable).parent, self.machine.java_home / "bin"]
        env = {
            **self.machine.base_env,
            "PATH": os.pathsep.join([*map(str, bin_folders), os.defpath, "/usr/local/bin"]),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.temporary_folder),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "HOSTNAME": str(self.pod["metadata"]["name"]),
            "JAVA_HOME": str(self.machine.java_home),
            # Python of driver and executors must be one minor version: the one that runs this cluster.
            "PYSPARK_PYTHON": sys.executable,
            # Otherwise the UIs of all drivers would share one address and move to other ports.
            "SPARK_LOCAL_IP": address,
        }
        if self.spark_home is not None:
            env["SPARK_HOME"] = str(self.spark_home)
        if f"{SPARK_HOME}/conf" in paths.places:
            # Spark looks for it below its home, where a mount cannot be.
            env["SPARK_CONF_DIR"] = str(paths.places[f"{SPARK_HOME}/conf"])
        return {**env, **self._client_env(paths), **paths.values(self.plan.env)}

    def _client_env(self, paths: PathMap) -> dict[str, str]:
        # fabric8 has the paths of a pod's credentials built in; these variables lead it to the real ones.
        env = {"KUBERNETES_AUTH_TRYKUBECONFIG": "false"}
        folder = paths.places.get(SERVICE_ACCOUNT_FOLDER)
        if folder is not None:
            env["KUBERNETES_CERTS_CA_FILE"] = str(folder / "ca.crt")
            env["KUBERNETES_AUTH_SERVICEACCOUNT_TOKEN"] = str(folder / "token")
            env["KUBENAMESPACE"] = str(folder / "namespace")
        return env

    def _source(self, number: int, mount: Mount) -> Path:
        if mount.kind == "files":
            # A copy for every mount: the text in it is rewritten for this container's paths.
            return self.folder / "mounts" / str(number)
        if mount.kind == "hostPath":
            return Path(mount.source)
        if mount.kind == "persistentVolumeClaim":
            return self.machine.claims_folder / mount.source
        return self.pod_folder / "volumes" / mount.volume

    def _target(self, number: int, mount: Mount) -> Path:
        return self._source(number, mount) / mount.sub_path

    def _fill(self, number: int, mount: Mount, paths: PathMap) -> None:
        root = self._source(number, mount)
        if mount.kind == "hostPath":
            return
        if mount.kind != "files":
            self._target(number, mount).mkdir(parents=True, exist_ok=True)
            return
        credentials = mount.path.rstrip("/") == SERVICE_ACCOUNT_FOLDER
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True, mode=0o755)
        for file in mount.files:
            target = root / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data if credentials else paths.content(file.data))
            target.chmod(file.mode)
