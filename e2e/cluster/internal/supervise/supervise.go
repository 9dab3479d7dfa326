// Package supervise keeps the components of a machine running, and reaps what its processes leave behind.
// It is the whole life of a machine's first process after its mounts are made.
package supervise

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// restartDelay is how long an ended component rests before it is started again.
const restartDelay = time.Second

// Component is a process that is to run as long as the machine does.
type Component struct {
	// Name is the component's name, and its first argument.
	Name string
	// Path is the program; Args are its arguments.
	Path string
	Args []string
	// Log is the file that its output is added to.
	Log string
	// After, if not nil, returns when the component may be started.
	After func()
}

// Run starts the components and never returns: an ended one is started again after a second.
func Run(components []Component) {
	r := &reaper{waiting: map[int]chan syscall.WaitStatus{}, started: make(chan struct{}, 1)}
	for _, c := range components {
		go func() {
			if c.After != nil {
				c.After()
			}
			for {
				begin := time.Now()
				err := r.run(c)
				log.Printf("%s ended after %s: %v", c.Name, time.Since(begin).Round(time.Millisecond), err)
				time.Sleep(restartDelay)
			}
		}()
	}
	r.reap()
}

// reaper waits for all children: the components, and the processes that their ended parents left to this one (containerd's shims).
type reaper struct {
	mu sync.Mutex
	// waiting holds who waits for the end of a process, by its number.
	waiting map[int]chan syscall.WaitStatus
	// started says that there is a child to wait for.
	started chan struct{}
}

// run starts a component and waits for its end.
func (r *reaper) run(c Component) error {
	out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Stdout, cmd.Stderr = out, out
	ended := make(chan syscall.WaitStatus, 1)
	r.mu.Lock()
	// Held over the start, so that the reaper does not look for the process before it is noted.
	if err = cmd.Start(); err == nil {
		r.waiting[cmd.Process.Pid] = ended
	}
	r.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case r.started <- struct{}{}:
	default:
	}
	status := <-ended
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	if status.Signaled() {
		return fmt.Errorf("signal %v", status.Signal())
	}
	return fmt.Errorf("exit code %d", status.ExitStatus())
}

func (r *reaper) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.ECHILD):
			<-r.started
		case err == nil:
			r.mu.Lock()
			if ended, ok := r.waiting[pid]; ok {
				delete(r.waiting, pid)
				ended <- status
			}
			r.mu.Unlock()
		}
	}
}
