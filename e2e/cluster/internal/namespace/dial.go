package namespace

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dialer connects from a machine's network namespace, whatever namespace the rest of this process is in.
func Dialer(r Record) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			// Never unlocked: the thread, which is in another namespace now, ends with this goroutine.
			runtime.LockOSThread()
			there, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", r.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				done <- result{nil, err}
				return
			}
			defer unix.Close(there)
			if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
				done <- result{nil, err}
				return
			}
			// The address is numeric, so that the socket is made by this very goroutine.
			conn, err := (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}
}
