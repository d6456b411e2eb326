# A plain FTP server on a free loopback port; `plain.rs` runs it. Arguments: the address to listen on, the folder that
# clients see as "/", the name of the user ("anonymous" for everybody), the password, the letters of what is permitted,
# and the commands that it shall not know.
import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

address, folder, user, password, permitted, *unknown = sys.argv[1:]

authorizer = DummyAuthorizer()
if user == "anonymous":
    authorizer.add_anonymous(folder, perm=permitted)
else:
    authorizer.add_user(user, password, folder, perm=permitted)


class Handler(FTPHandler):
    proto_cmds = {name: about for name, about in FTPHandler.proto_cmds.items() if name not in unknown}
    banner = "a plain server"
    auth_failed_timeout = 0


Handler.authorizer = authorizer
# Every command and reply, on standard error.
logging.basicConfig(level=logging.DEBUG, format="%(message)s")
server = FTPServer((address, 0), Handler)
print("listening", server.socket.getsockname()[1], flush=True)
server.serve_forever(handle_exit=False)
