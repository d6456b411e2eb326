# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_gridftp_fs_global_optspecs
    string join \n cred= subject= timeout= dbg q/quiet json h/help V/version
end

function __fish_gridftp_fs_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_gridftp_fs_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_gridftp_fs_using_subcommand
    set -l cmd (__fish_gridftp_fs_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -s V -l version -d 'Print version'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "ls" -d 'List folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "stat" -d 'Show all that a server tells about files and folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "cat" -d 'Write files to standard output'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "put" -d 'Store a file, or standard input, under its name only when it is whole'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "mkdir" -d 'Make folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "rm" -d 'Remove files and links, with -r folders and what is in them'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "rmdir" -d 'Remove empty folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "mv" -d 'Give a file or folder another name, or move it to another folder of its server'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "chmod" -d 'Change permissions'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "chgrp" -d 'Give files to another group'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "ln" -d 'Make a symbolic link'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "touch" -d 'Set the time of the last change; makes empty files where there are none'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "du" -d 'Sum up the sizes of files, folder by folder'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "find" -d 'Look for files; shows their URLs'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "sum" -d 'Show checksums, computed by the server where it can'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "features" -d 'Show what servers say they can do'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "df" -d 'Show the free space, where a server tells it'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "cred" -d 'Show the credential that would be used'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "doctor" -d 'Find out step by step why a server cannot be used'
complete -c gridftp-fs -n "__fish_gridftp_fs_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -s l -l long -d 'Permissions, owner, group, size and time as well'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -s R -l recursive -d 'Folders in folders as well'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -s d -l directory -d 'Folders themselves, not what is in them'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -s a -l all -d 'Names that begin with a dot as well'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -l human -d 'Sizes as in 1.5M'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ls" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand stat" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l offset -d 'From this byte on' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l length -d 'At most so many bytes' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cat" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand put" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -s p -l parents -d 'The folders above as well, and no failure if it is there'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mkdir" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -s r -l recursive -d 'Folders with everything in them'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -s f -l force -d 'No failure for what is not there'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rm" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand rmdir" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand mv" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -s R -l recursive -d 'Everything in folders as well; links are left as they are'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chmod" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -s R -l recursive -d 'Everything in folders as well; links are left as they are'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand chgrp" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -s s -l symbolic -d 'The link is a symbolic one; servers have no other'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand ln" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -s d -l date -d 'This time instead of now: 2026-05-01, 2026-05-01T12:00:00Z, @SECONDS; UTC unless it says otherwise' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -s c -l no-create -d 'Make no files'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand touch" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -s s -l summarize -d 'One sum per URL'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -l human -d 'Sizes as in 1.5M'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand du" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l name -d 'Names that match, as in *.root; case counts' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l type -d 'Files (f), folders (d) or links (l)' -r -f -a "f\t''
d\t''
l\t''"
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l size -d 'More than (+), less than (-), or just so many bytes, with K, M, G or T for powers of 1024' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l newer -d 'Changed within that time (2d, 3h), or after that moment' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l older -d 'Not changed within that time, or before that moment' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l max-depth -d 'So many folders deep; 0 for the URL itself' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -s 0 -l null -d 'A zero byte behind each URL, for xargs -0'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand find" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -s a -l algorithm -d 'md5, adler32, crc32, sha1, sha256, sha512, or another one of the server\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand sum" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand features" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand df" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand cred" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -l cred -d 'The credential for gsiftp: a proxy, or a file with certificate and key [default: as grid-proxy-init leaves it]' -r -F
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -l subject -d 'The distinguished name that a gsiftp server must have, instead of its host\'s' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -l timeout -d 'Limit for connecting, for each reply and for each pause of a transfer: 30s, 5m [default: 30s, 60s, 60s]' -r
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -l write -d 'Store, read and remove a small file as well'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -l dbg -d 'Show what is said on control channels, on standard error'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -s q -l quiet -d 'Nothing on standard error but errors'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -l json -d 'For programs: one JSON object per line'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "ls" -d 'List folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "stat" -d 'Show all that a server tells about files and folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "cat" -d 'Write files to standard output'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "put" -d 'Store a file, or standard input, under its name only when it is whole'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "mkdir" -d 'Make folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "rm" -d 'Remove files and links, with -r folders and what is in them'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "rmdir" -d 'Remove empty folders'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "mv" -d 'Give a file or folder another name, or move it to another folder of its server'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "chmod" -d 'Change permissions'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "chgrp" -d 'Give files to another group'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "ln" -d 'Make a symbolic link'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "touch" -d 'Set the time of the last change; makes empty files where there are none'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "du" -d 'Sum up the sizes of files, folder by folder'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "find" -d 'Look for files; shows their URLs'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "sum" -d 'Show checksums, computed by the server where it can'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "features" -d 'Show what servers say they can do'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "df" -d 'Show the free space, where a server tells it'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "cred" -d 'Show the credential that would be used'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "doctor" -d 'Find out step by step why a server cannot be used'
complete -c gridftp-fs -n "__fish_gridftp_fs_using_subcommand help; and not __fish_seen_subcommand_from ls stat cat put mkdir rm rmdir mv chmod chgrp ln touch du find sum features df cred doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
