"""For pip: the library without ROS and its command. colcon builds with CMakeLists.txt instead.

Version and maintainer are those of package.xml. With SOURCE_DATE_EPOCH two builds are equal, byte for byte.
"""

import gzip
import os
import tarfile
from xml.etree import ElementTree as ET

from setuptools import setup
from setuptools.command.sdist import sdist


class ReproducibleSdist(sdist):
    """Writes all times as SOURCE_DATE_EPOCH, and no user; setuptools does so in wheels only."""

    def make_archive(self, base_name, kind, root_dir=None, base_dir=None, **owner):
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if epoch is None or kind != "gztar":
            return super().make_archive(base_name, kind, root_dir, base_dir, **owner)

        def plain(member):
            member.mtime, member.mode = int(epoch), 0o755 if member.mode & 0o100 else 0o644
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            return member

        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=int(epoch)) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(base_dir, filter=plain)
        return path


os.umask(0o022)  # archives keep the modes of files
package = ET.parse("package.xml")
maintainer = package.find("maintainer")
setup(
    version=package.findtext("version"),
    maintainer=maintainer.text,
    maintainer_email=maintainer.get("email"),
    cmdclass={"sdist": ReproducibleSdist},
)
