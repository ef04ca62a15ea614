// Sends events 0, 1, 2, … with fluent-logger-golang, each again until it is acknowledged, and prints its number then.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
)

func main() {
	port, _ := strconv.Atoi(os.Args[1])
	count, _ := strconv.Atoi(os.Args[2])
	logger, err := fluent.New(fluent.Config{
		FluentHost: "127.0.0.1", FluentPort: port, RequestAck: true, SubSecondPrecision: true,
		Timeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		RetryWait: 50, MaxRetry: 200, MaxRetryWait: 200,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	moment := time.Date(2026, 11, 20, 1, 0, 0, 5, time.UTC)
	for n := 0; n < count; n++ {
		if err := logger.PostWithTime("ml.go", moment, map[string]int{"n": n}); err != nil {
			fmt.Fprintln(os.Stderr, n, err)
			continue
		}
		fmt.Println(n)
	}
	logger.Close()
}
