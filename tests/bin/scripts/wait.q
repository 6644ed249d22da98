# Waiting: poll, select, epoll, eventfd, sleeping, being interrupted.
eventfd2(3, EFD_SEMAPHORE|EFD_NONBLOCK)
$ev = $?
$p = [{fd=$ev, events=POLLIN|POLLOUT}, {-1, POLLIN}, {99, POLLIN}]
expect poll($p, _, 0) == 2
expect $p[0].revents == POLLIN|POLLOUT
expect $p[1].revents == 0
expect $p[2] == {fd=99, revents=POLLNVAL}
expect read($ev, $b, 8) == 8
expect $b == "\x01\0\0\0\0\0\0\0"

$in = [0]
$out = [0]
expect select(_, $in, $out, NULL, {tv_sec=5}) == 2
expect $in == [0]
expect select(1, $in, NULL, NULL, {0, -1}) == EINVAL
expect pselect6(1, $in, NULL, NULL, {0, 0}, {ss="\0\0\0\0\0\0\0\0", ss_len=8}) \
	== 1
expect ppoll([{0, POLLIN}], 1, {0, 0}, [2, 15], 8) == 1
expect ppoll([{0, POLLIN}], 1, {0, 0}, [2, 15], 4) == EINVAL

epoll_create1(EPOLL_CLOEXEC)
$ep = $?
expect epoll_ctl($ep, EPOLL_CTL_ADD, $ev, {EPOLLIN|EPOLLET, 0x123456789}) == 0
expect epoll_ctl($ep, EPOLL_CTL_ADD, $ev, {EPOLLIN, 1}) == EEXIST
expect epoll_wait($ep, $got, 4, -1) == 1
expect $got == [{events=EPOLLIN, data=0x123456789}]
expect epoll_wait($ep, $got, 4, 0) == 0
expect epoll_ctl($ep, EPOLL_CTL_DEL, $ev) == 0
expect epoll_pwait2($ep, $got, 4, {0, 1000}) == 0

# Several that wait, in a process of their own.
fork p2
p2: getpid
expect p2: getppid == 1
spawn a p2: epoll_wait($ep, _, 1, -1)
epoll_ctl($ep, EPOLL_CTL_ADD, $ev, {EPOLLIN, 5})
expect join a == 1
spawn b p2: nanosleep({1000, 0}, $rem)
interrupt p2
expect join b == EINTR
expect $rem.tv_sec >= 900
end p2

use main
expect nanosleep({0, 1000000000}) == EINVAL
expect nanosleep({0, 1ms}) == 0
clock_gettime(CLOCK_MONOTONIC, $t0)
sleep 2ms
clock_gettime(CLOCK_MONOTONIC, $t1)
expect ($t1.tv_sec - $t0.tv_sec) * 1000000000 + $t1.tv_nsec - $t0.tv_nsec >= 2ms
expect sched_yield == 0
