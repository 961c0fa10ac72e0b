/*
 * Stands in for the program in its unit and tries what somebody who has got into the process would try. Prints a line
 * for each: "can read /home", or "cannot read /home: Permission denied". Each try is a process of its own, so that one
 * that is killed tells no more than that it cannot.
 *
 * Called with "ran" it is the program whose start was tried, with "root" the same for one that is set-user-ID root.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __aarch64__
#define LOADER "/lib/ld-linux-aarch64.so.1"
static const unsigned RETURN[] = {0xd65f03c0};
#else
#define LOADER "/lib64/ld-linux-x86-64.so.2"
static const unsigned char RETURN[] = {0xc3};
#endif

#define PAGE 4096

/* A try comes back only if it has failed, with -1 and errno set, or with 0 if it has succeeded. */
typedef int try(const char *argument);

static int written(int file, const void *bytes, size_t length)
{
	return write(file, bytes, length) == (ssize_t)length ? 0 : -1;
}

static int copied(int to)
{
	static char block[1 << 16];
	int from = open("/proc/self/exe", O_RDONLY);
	if (from < 0)
		return -1;
	for (ssize_t length; (length = read(from, block, sizeof block)) != 0;)
		if (length < 0 || written(to, block, length) < 0)
			return -1;
	return 0;
}

/* --- Programs --- */

static int run(const char *path)
{
	return execl(path, path, "ran", NULL);
}

static int run_as_root(const char *path)
{
	return execl(path, path, "root", NULL);
}

static int run_own(const char *folder)
{
	char path[PAGE];
	snprintf(path, sizeof path, "%s/probe-own", folder);
	int file = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0755);
	if (file < 0 || copied(file) < 0)
		return -1;
	close(file);
	return run(path);
}

static int run_by_loader(const char *path)
{
	return execl(LOADER, LOADER, path, "ran", NULL);
}

static int run_memory(const char *unused)
{
	int file = memfd_create("probe", 0);
	if (file < 0 || copied(file) < 0)
		return -1;
	return fexecve(file, (char *[]){"probe", "ran", NULL}, (char *[]){NULL});
}

/* --- Machine code --- */

static int call(void *code)
{
	__builtin___clear_cache(code, (char *)code + sizeof RETURN);
	((void (*)(void))code)();
	return 0;
}

static int write_and_call(void *memory)
{
	if (memory == MAP_FAILED)
		return -1;
	memcpy(memory, RETURN, sizeof RETURN);
	return call(memory);
}

static void *map(int protection)
{
	return mmap(NULL, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int code_written(const char *unused)
{
	return write_and_call(map(PROT_READ | PROT_WRITE | PROT_EXEC));
}

static int code_made_executable(const char *unused)
{
	void *memory = map(PROT_READ | PROT_WRITE);
	memcpy(memory, RETURN, sizeof RETURN);
	return mprotect(memory, PAGE, PROT_READ | PROT_EXEC) < 0 ? -1 : call(memory);
}

static int code_by_personality(const char *unused)
{
	if (personality(READ_IMPLIES_EXEC) < 0)
		return -1;
	return write_and_call(map(PROT_READ | PROT_WRITE));
}

static int code_in_shared_memory(const char *unused)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700);
	void *memory = id < 0 ? MAP_FAILED : shmat(id, NULL, SHM_EXEC);
	shmctl(id, IPC_RMID, NULL);
	return write_and_call(memory);
}

static int code_of(int file)
{
	if (file < 0 || written(file, RETURN, sizeof RETURN) < 0)
		return -1;
	void *code = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
	return code == MAP_FAILED ? -1 : call(code);
}

static int code_in_memory_file(const char *unused)
{
	return code_of(memfd_create("probe", 0));
}

static int code_in_file(const char *folder)
{
	return code_of(open(folder, O_TMPFILE | O_RDWR, 0700));
}

/* --- Others on this machine, and on the network --- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	int one = socket(AF_UNIX, SOCK_STREAM, 0);
	return one < 0 ? -1 : connect(one, (struct sockaddr *)&address, sizeof address);
}

/* A socket with a name on the loopback interface, where nobody else is. */
static int bound(int family, int type, int port)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int one = socket(family, type, 0);
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	six.sin6_addr = in6addr_loopback;
	if (one < 0 || setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0)
		return -1;
	if ((family == AF_INET ? bind(one, (struct sockaddr *)&four, sizeof four)
			       : bind(one, (struct sockaddr *)&six, sizeof six)) < 0)
		return -1;
	return one;
}

static int take_connection(int one)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof address;
	if (one < 0 || listen(one, 1) < 0 || getsockname(one, (struct sockaddr *)&address, &length) < 0)
		return -1;
	int other = socket(address.ss_family, SOCK_STREAM, 0);
	if (connect(other, (struct sockaddr *)&address, length) < 0)
		return -1;
	return accept(one, NULL, NULL);
}

static int take_connection_4(const char *unused)
{
	return take_connection(bound(AF_INET, SOCK_STREAM, 8080));
}

static int take_connection_6(const char *unused)
{
	return take_connection(bound(AF_INET6, SOCK_STREAM, 8080));
}

static int take_connection_any(const char *unused)
{
	return take_connection(socket(AF_INET, SOCK_STREAM, 0));
}

static int listen_udp_4(const char *unused)
{
	return bound(AF_INET, SOCK_DGRAM, 8080);
}

static int listen_udp_6(const char *unused)
{
	return bound(AF_INET6, SOCK_DGRAM, 8080);
}

static int open_netlink(const char *unused)
{
	return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int open_device(const char *path)
{
	/* Without a driver behind it, what matters is whether it was let through to that. */
	int file = open(path, O_RDWR);
	return file >= 0 || errno == ENXIO || errno == ENODEV ? 0 : -1;
}

/* --- Files, and other processes --- */

static int read_file(const char *path)
{
	char byte;
	int file = open(path, O_RDONLY);
	return file < 0 ? -1 : read(file, &byte, 1) < 0 ? -1 : 0;
}

static int list(const char *path)
{
	return opendir(path) == NULL ? -1 : 0;
}

static int leave_file(const char *folder)
{
	char path[PAGE];
	snprintf(path, sizeof path, "%s/probe-left", folder);
	return open(path, O_CREAT | O_WRONLY, 0600) < 0 ? -1 : unlink(path);
}

/* --- The kernel --- */

static int make_user_namespace(const char *unused)
{
	return unshare(CLONE_NEWUSER);
}

static int use_io_uring(const char *unused)
{
	char parameters[120] = {0}; /* struct io_uring_params */
	return syscall(SYS_io_uring_setup, 1, parameters);
}

static int trace(const char *unused)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int call_as_32_bit(const char *unused)
{
#ifdef __x86_64__
	int answer;
	__asm__ volatile("int $0x80" : "=a"(answer) : "a"(20 /* getpid */) : "memory");
	errno = answer < 0 ? -answer : 0;
	return answer < 0 ? -1 : 0;
#else
	errno = ENOSYS;
	return -1;
#endif
}

static int dump_core(const char *unused)
{
	struct rlimit limit;
	int status;
	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = limit.rlim_max;
	const char *folder = getenv("RUNTIME_DIRECTORY");
	if (setrlimit(RLIMIT_CORE, &limit) < 0 || folder == NULL || chdir(folder) < 0)
		return -1;
	pid_t child = fork();
	if (child == 0)
		abort();
	waitpid(child, &status, 0);
	errno = 0;
	return WCOREDUMP(status) ? 0 : -1;
}

static int use_memory(const char *mebibytes)
{
	size_t length = strtoul(mebibytes, NULL, 10) << 20;
	char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return -1;
	for (size_t at = 0; at < length; at += PAGE)
		memory[at] = 1;
	return 0;
}

static int use_tasks(const char *count)
{
	pid_t tasks[1024];
	int wanted = atoi(count), had = 0;
	while (had < wanted && (tasks[had] = fork()) > 0)
		had++;
	int why = errno;
	if (had < wanted && tasks[had] == 0)
		for (;;)
			pause();
	for (int i = 0; i < had; i++) {
		kill(tasks[i], SIGKILL);
		waitpid(tasks[i], NULL, 0);
	}
	errno = why;
	return had == wanted ? 0 : -1;
}

static const struct {
	const char *what;
	try *try;
	const char *argument;
} TRIES[] = {
	{"run a program from /usr/bin", run, "/usr/bin/probe"},
	{"run a program from /usr/sbin", run, "/usr/sbin/probe"},
	{"run a program from /usr/libexec", run, "/usr/libexec/probe"},
	{"run a program from /usr/lib", run, "/usr/lib/systemd/probe"},
	{"run a program from /usr/local/bin", run, "/usr/local/bin/probe"},
	{"run a program from /opt", run, "/opt/probe"},
	{"run a program from /home", run, "/home/admin/probe"},
	{"run a program from /root", run, "/root/probe"},
	{"run a program from /run", run, "/run/probe"},
	{"run a program of its own from /run/eip-heal", run_own, "/run/eip-heal"},
	{"run a program of its own from /tmp", run_own, "/tmp"},
	{"run a program of its own from /var/tmp", run_own, "/var/tmp"},
	{"run a program of its own from /dev/shm", run_own, "/dev/shm"},
	{"run a program of its own from memory", run_memory, NULL},
	{"run a program by the dynamic loader", run_by_loader, "/usr/bin/true"},
	{"become root by a set-user-ID program", run_as_root, "/usr/lib64/probe-as-root"},

	{"run machine code in memory that is writable", code_written, NULL},
	{"run machine code that it has written before", code_made_executable, NULL},
	{"run machine code in memory by another personality", code_by_personality, NULL},
	{"run machine code in System V shared memory", code_in_shared_memory, NULL},
	{"run machine code in a memory file", code_in_memory_file, NULL},
	{"run machine code in a file in /run/eip-heal", code_in_file, "/run/eip-heal"},
	{"run machine code in a file in /tmp", code_in_file, "/tmp"},
	{"run machine code in a file in /var/tmp", code_in_file, "/var/tmp"},
	{"run machine code in a file in /dev/shm", code_in_file, "/dev/shm"},

	{"reach D-Bus", connect_to, "/run/dbus/system_bus_socket"},
	{"reach systemd's private socket", connect_to, "/run/systemd/private"},
	{"take a TCP connection over IPv4", take_connection_4, NULL},
	{"take a TCP connection over IPv6", take_connection_6, NULL},
	{"take a TCP connection on a port of the kernel's choice", take_connection_any, NULL},
	{"listen on a UDP port of IPv4", listen_udp_4, NULL},
	{"listen on a UDP port of IPv6", listen_udp_6, NULL},
	{"talk to the kernel by netlink", open_netlink, NULL},
	{"use a device", open_device, "/dev/fuse"},

	{"read /home", list, "/home"},
	{"read /root", list, "/root"},
	{"read the journal", list, "/var/log/journal"},
	{"read other logs", read_file, "/var/log/probe.log"},
	{"read the files of other users", read_file, "/var/lib/of-others"},
	{"see other processes", read_file, "/proc/1/cmdline"},
	{"see what others have in /tmp", read_file, "/tmp/of-others"},
	{"see what others have in /var/tmp", read_file, "/var/tmp/of-others"},
	{"see what others have in /dev/shm", read_file, "/dev/shm/of-others"},
	{"leave a file in /run", leave_file, "/run/lock"},
	{"leave a file in /dev/shm", leave_file, "/dev/shm"},

	{"make a user namespace", make_user_namespace, NULL},
	{"trace a process", trace, NULL},
	{"use io_uring", use_io_uring, NULL},
#ifdef __x86_64__
	{"make 32-bit system calls", call_as_32_bit, NULL},
#endif
	{"dump core", dump_core, NULL},
	{"use 512 MiB of memory", use_memory, "512"},
	{"use 64 tasks", use_tasks, "64"},
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "ran") == 0)
		return 0;
	if (argc > 1 && strcmp(argv[1], "root") == 0)
		return geteuid() == 0 ? 0 : EPERM;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof TRIES / sizeof *TRIES; i++) {
		int status;
		pid_t child = fork();
		if (child == 0)
			_exit(TRIES[i].try(TRIES[i].argument) < 0 ? errno ? errno : 255 : 0);
		if (child < 0 || waitpid(child, &status, 0) < 0)
			return 1;
		if (WIFSIGNALED(status))
			printf("cannot %s: %s\n", TRIES[i].what, strsignal(WTERMSIG(status)));
		else if (WEXITSTATUS(status) == 0)
			printf("can %s\n", TRIES[i].what);
		else
			printf("cannot %s: %s\n", TRIES[i].what,
			       WEXITSTATUS(status) == 255 ? "no" : strerror(WEXITSTATUS(status)));
	}
	return 0;
}
