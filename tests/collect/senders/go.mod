module senders

go 1.23

require github.com/fluent/fluent-logger-golang v1.10.2
