complete -c gridftp-cp -s f -l from-file -d '-f: many copies, as FILE lists them (- for standard input): lines of SOURCE DEST, or JSON lines' -r -F
complete -c gridftp-cp -l files-from -d 'Of SOURCE only the paths below it that FILE has line by line (- for standard input)' -r -F
complete -c gridftp-cp -l include -d 'Only files that match: *.root, run/**/x, [a-f]?; with --exclude, the first that matches decides' -r
complete -c gridftp-cp -l exclude -d 'Not what matches, nor what is below it' -r
complete -c gridftp-cp -l links -d 'Symbolic links in trees' -r -f -a "follow\t'What they lead to is copied in their place'
copy\t'They are made anew'
skip\t'They are left out, and counted'"
complete -c gridftp-cp -l or-from -d 'Another place that has the same files, for what cannot be had from the first' -r
complete -c gridftp-cp -l shard -d 'Only the share I of N, from 0 on, of all files: for N processes that divide the work. Without a value, the share of this task of a Slurm array or step' -r
complete -c gridftp-cp -l partial-offset -d '-off: from this byte on, to the same place in the destination, of which the rest is kept' -r
complete -c gridftp-cp -l partial-length -d '-len: at most so many bytes; -1 for all' -r
complete -c gridftp-cp -l verify -d 'What must be right before a copy gets its name: size, checksum, or an algorithm like SHA256' -r
complete -c gridftp-cp -l sync -d 'Only what is missing or differs: by size, by time (the default: size, or older), or by checksum' -r -f -a "size\t''
time\t''
checksum\t''"
complete -c gridftp-cp -l overwrite -d 'What becomes of files that are there already' -r -f -a "always\t'They are replaced, once the new ones are whole'
never\t'They stay'
different\t'They are replaced if size or time say that they differ'"
complete -c gridftp-cp -l preserve -d 'Keep permissions and times, or one of them' -r
complete -c gridftp-cp -l journal -d 'The same, remembered in FILE; in a folder of that name where there are several copies' -r -F
complete -c gridftp-cp -l retries -d 'How often a file is tried again that failed for a reason that may pass [default: 4]' -r
complete -c gridftp-cp -l retry-delay -d 'The pause before that; each further one is twice as long [default: 1s]' -r
complete -c gridftp-cp -l retry-within -d 'Not later than so long after a file\'s first failure' -r
complete -c gridftp-cp -l dumpfile -d '-df: at the end FILE lists what was not copied, for -f; if it exists, it says what is to be copied' -r -F
complete -c gridftp-cp -l timeout-connect -d 'Until a connection stands and the login is done [default: 30s]' -r
complete -c gridftp-cp -l timeout-reply -d 'Until a server answers a command [default: 60s]' -r
complete -c gridftp-cp -l timeout-stall -d '-st: while nothing moves, or a server does not answer [default: 60s]' -r
complete -c gridftp-cp -l timeout-checksum -d 'Until a server has computed a checksum [default: 6h]' -r
complete -c gridftp-cp -l timeout-total -d '-t: for all of it [default: no limit]' -r
complete -c gridftp-cp -l concurrency -d '-cc: sessions at the same time; auto takes as many as make it faster' -r
complete -c gridftp-cp -s p -l parallel -d '-p: data connections for each file and session, up to 256; from 1 on, in extended block mode' -r
complete -c gridftp-cp -l bwlimit -d 'At most so many bytes a second in all, like 10M' -r
complete -c gridftp-cp -l tcp-buffer-size -d '-tcp-bs: TCP buffers at both ends; else the kernels choose, and mostly better' -r
complete -c gridftp-cp -l block-size -d '-bs: blocks that are read and sent of standard streams, pipes and parts, up to 1M' -r
complete -c gridftp-cp -l striped-block-size -d '-sbs: the blocks in which stripes take turns; 0 for one part of the file each' -r
complete -c gridftp-cp -l cred -d 'The proxy, or certificate and key, to log in with, instead of the one that is found' -r -F
complete -c gridftp-cp -l source-cred -d '-sc: the same for the source alone' -r -F
complete -c gridftp-cp -l dest-cred -d '-dc: the same for the destination alone' -r -F
complete -c gridftp-cp -l data-cred -d 'The credential that servers use on data channels (DCSC), key included: they can act as you with it' -r -F
complete -c gridftp-cp -l subject -d '-s: the distinguished name both servers must have, instead of their hosts\'' -r
complete -c gridftp-cp -l source-subject -d '-ss: the same for the source alone' -r
complete -c gridftp-cp -l dest-subject -d '-ds: the same for the destination alone' -r
complete -c gridftp-cp -l protect -d 'How data is protected on its way; an error where that cannot be had' -r -f -a "clear\t'As it is'
safe\t'Signed'
private\t'Signed and encrypted'"
complete -c gridftp-cp -l authz-assert -d '-aa: what an authorization service said about you, for both servers' -r -F
complete -c gridftp-cp -l source-authz-assert -d '-saa: the same for the source' -r -F
complete -c gridftp-cp -l dest-authz-assert -d '-daa: the same for the destination' -r -F
complete -c gridftp-cp -l alias-file -d '-af: hosts that take turns for every @source, and for every @destination' -r -F
complete -c gridftp-cp -l dump-only -d '-do: change nothing; FILE (- for standard output) lists what would be copied' -r -F
complete -c gridftp-cp -l list -d 'Copy nothing; list the folder, or the file' -r
complete -c gridftp-cp -l progress -d 'How far it is: a picture on a terminal, else a line each 10 s' -r -f -a "auto\t'Where a person reads it'
always\t'In any case'
never\t'In no case'"
complete -c gridftp-cp -l color -d 'Colours; NO_COLOR is heard' -r -f -a "auto\t'Where a person reads it'
always\t'In any case'
never\t'In no case'"
complete -c gridftp-cp -l data-channel-stack -d '-dcstack: network drivers of both servers, the transport first, with commas between' -r
complete -c gridftp-cp -l source-data-channel-stack -d '-src-dcstack: the same for the source alone' -r
complete -c gridftp-cp -l dest-data-channel-stack -d '-dst-dcstack: the same for the destination alone' -r
complete -c gridftp-cp -l file-system-stack -d '-fsstack: disk drivers of both servers, the lowest first' -r
complete -c gridftp-cp -l source-file-system-stack -d '-src-fsstack: the same for the source alone' -r
complete -c gridftp-cp -l dest-file-system-stack -d '-dst-fsstack: the same for the destination alone' -r
complete -c gridftp-cp -l pipe -d '-P: what this program of the server prints is copied, or what is copied is its input' -r
complete -c gridftp-cp -l source-pipe -d '-SP: the same for the source alone' -r
complete -c gridftp-cp -l dest-pipe -d '-DP: the same for the destination alone' -r
complete -c gridftp-cp -l module-name -d '-mn: the storage module of both servers' -r
complete -c gridftp-cp -l module-parameters -d '-mp: its parameters' -r
complete -c gridftp-cp -l source-module-name -d '-smn: the storage module of the source' -r
complete -c gridftp-cp -l source-module-parameters -d '-smp: its parameters' -r
complete -c gridftp-cp -l dest-module-name -d '-dmn: the storage module of the destination' -r
complete -c gridftp-cp -l dest-module-parameters -d '-dmp: its parameters' -r
complete -c gridftp-cp -l generate -d 'For `cargo xtask docs`' -r -f -a "man\t''
bash\t''
zsh\t''
fish\t''"
complete -c gridftp-cp -l rst-retries -d 'How often in all; 0 for ever' -r
complete -c gridftp-cp -l rst-interval -d 'Between attempts; 0 for doubling' -r
complete -c gridftp-cp -l pipeline-queue -r
complete -c gridftp-cp -l sync-level -r
complete -c gridftp-cp -l checksum-alg -r
complete -c gridftp-cp -s r -l recursive -d 'Folders with everything below them'
complete -c gridftp-cp -s 0 -l null -d 'The lists are separated by NUL, not by lines'
complete -c gridftp-cp -l no-glob -d 'Characters like * and [ in a source\'s name are no pattern'
complete -c gridftp-cp -l optional -d 'It is no failure that a source is not there'
complete -c gridftp-cp -l create-dest -d '-cd: make the destination\'s folders where they are missing'
complete -c gridftp-cp -l delete -d 'Delete in the destination what the source does not have, at the end and if nothing failed'
complete -c gridftp-cp -l fsync -d 'Have local copies on the disk before they get their names'
complete -c gridftp-cp -l ascii -d '-a: as text, with the line ends of each side'
complete -c gridftp-cp -l resume -d 'Remember what is done, so that the same command goes on where it was ended'
complete -c gridftp-cp -l fast -d 'Extended block mode'
complete -c gridftp-cp -l through-client -d '-notpt: what goes from server to server goes through this machine'
complete -c gridftp-cp -l stripe -d 'Let servers use several data nodes at once'
complete -c gridftp-cp -l nodcau -d 'No authentication on data channels'
complete -c gridftp-cp -l dcsafe -d '--protect safe'
complete -c gridftp-cp -l dcpriv -d '--protect private'
complete -c gridftp-cp -l relative-paths -d '-rp: paths in URLs begin at the folder of the login; %2F in front for the root'
complete -c gridftp-cp -s n -l dry-run -d 'Change nothing; say what would be copied, skipped and deleted'
complete -c gridftp-cp -s q -l quiet -d 'Nothing but errors'
complete -c gridftp-cp -s v -l verbose -d 'Say what is copied, and a summary at the end'
complete -c gridftp-cp -l verbose-perf -d '-vb: the same, and bytes and rate each second'
complete -c gridftp-cp -l explain -d 'At the end: what kept each copy from being faster, how that is known, and what was chosen'
complete -c gridftp-cp -l json -d 'Everything that happens as JSON lines on standard output'
complete -c gridftp-cp -l debugftp -d '-dbg: what is said on control channels, without passwords'
complete -c gridftp-cp -s h -l help -d 'This text'
complete -c gridftp-cp -s V -l version -d 'This program\'s version'
complete -c gridftp-cp -l udt -d '-udt: data over UDT, between servers that have its driver'
complete -c gridftp-cp -l delayed-pasv -d '-dp: a server may say only when it knows the file where it listens'
complete -c gridftp-cp -l no-allocate -d '-no-allo: servers are not told how much room a file needs'
complete -c gridftp-cp -l versions
complete -c gridftp-cp -l continue-on-error
complete -c gridftp-cp -l binary
complete -c gridftp-cp -l restart
complete -c gridftp-cp -l ipv6
complete -c gridftp-cp -l gridftp2
complete -c gridftp-cp -l no-gridftp2
complete -c gridftp-cp -l cache-authz-assert
complete -c gridftp-cp -l pipeline
complete -c gridftp-cp -l verify-checksum
complete -c gridftp-cp -l allocate
complete -c gridftp-cp -l copy-perms
