// Command echo is both ends of the cluster's own tests: in a pod and in the namespace `outside`.
//
//	echo serve                 answers on port 7000, TCP and UDP, with the client's address
//	echo dial tcp|udp ADDRESS  prints what the server answers
//	echo lookup NAME           prints the addresses of a name
//	echo write FILE TEXT       writes a file
//	echo read FILE             prints a file
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const patience = 2 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(a []string) error {
	switch {
	case len(a) == 1 && a[0] == "serve":
		return serve()
	case len(a) == 3 && a[0] == "dial":
		return dial(a[1], a[2])
	case len(a) == 2 && a[0] == "lookup":
		addresses, err := net.LookupHost(a[1])
		fmt.Println(addresses)
		return err
	case len(a) == 3 && a[0] == "write":
		return os.WriteFile(a[1], []byte(a[2]), 0o600)
	case len(a) == 2 && a[0] == "read":
		data, err := os.ReadFile(a[1])
		fmt.Println(string(data))
		return err
	}
	return errors.New("usage: see the source")
}

func dial(network, address string) error {
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("?\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(answer)
	return err
}

func serve() error {
	listener, err := net.Listen("tcp", ":7000")
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", ":7000")
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 64)
		for {
			_, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte(from.String()+"\n"), from)
		}
	}()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = fmt.Fprintln(conn, conn.RemoteAddr())
		}()
	}
}
