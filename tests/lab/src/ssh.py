# An ssh server on a free loopback port that runs what it is told as this user; `ssh.rs` runs it. Arguments: the folder
# that serves as home, with host key and authorized keys; the only user that is let in.
import asyncio
import logging
import os
import sys

import asyncssh

folder, user = sys.argv[1:]
logging.basicConfig(level=logging.INFO, format="%(message)s")


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return False


async def feed(process, pipe):
    try:
        while data := await process.stdin.read(65536):
            pipe.write(data)
            await pipe.drain()
        pipe.close()
    except (OSError, asyncssh.Error):
        pass  # One of the two has gone.


async def tell(pipe, writer):
    try:
        while data := await pipe.read(65536):
            writer.write(data)
            await writer.drain()
    except (OSError, asyncssh.Error):
        pass


async def serve(process):
    if process.channel.get_extra_info("username") != user or process.command is None:
        process.exit(1)
        return
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "USER": user}
    pipe = asyncio.subprocess.PIPE
    local = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", process.command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe)
    feeder = asyncio.ensure_future(feed(process, local.stdin))
    gone = asyncio.ensure_future(process.channel.wait_closed())
    ended = asyncio.gather(tell(local.stdout, process.stdout), tell(local.stderr, process.stderr), local.wait())
    await asyncio.wait([gone, ended], return_when=asyncio.FIRST_COMPLETED)
    if local.returncode is None:
        local.kill()
    feeder.cancel()
    if not gone.done():
        process.exit(local.returncode)
    await ended


async def main():
    listener = await asyncssh.create_server(
        Server, "127.0.0.1", 0, server_host_keys=[os.path.join(folder, "host-key")],
        authorized_client_keys=os.path.join(folder, "authorized_keys"), process_factory=serve, encoding=None)
    print("listening", listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
