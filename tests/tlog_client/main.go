// A client of the log that shares no code with it: Go's own implementation of notes and transparency logs (package
// golang.org/x/mod/sumdb) over a static file server. It follows the log's key from the instance's public key, checks the
// tree head, the inclusion of entries and the consistency of every kept checkpoint, and says how much it checked.
//
// Usage: tlog_client DIRECTORY INSTANCE_KEY_FILE
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Height of a tile in C2SP tlog-tiles.
const height = 8

// How many entries are looked up, spread over the log.
const samples = 64

type client struct{ url string }

func (c client) get(path string) ([]byte, error) {
	answer, err := http.Get(c.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func (c client) Height() int { return height }

func (c client) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles reads tiles where C2SP puts them: without the height that Go's own layout names first.
func (c client) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := c.get(path)
		if err != nil {
			return nil, err
		}
		read = append(read, data)
	}
	return read, nil
}

// entry reads one entry from its bundle: each stands behind its length in two bytes.
func (c client) entry(index, size int64) ([]byte, error) {
	tile := tlog.Tile{H: height, L: 0, N: index / 256, W: 256}
	if left := size - tile.N*256; left < 256 {
		tile.W = int(left)
	}
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
	bundle, err := c.get(path)
	if err != nil {
		return nil, err
	}
	for i := int64(0); len(bundle) >= 2; i++ {
		length := int(bundle[0])<<8 | int(bundle[1])
		bundle = bundle[2:]
		if len(bundle) < length {
			break
		}
		if i == index%256 {
			return bundle[:length], nil
		}
		bundle = bundle[length:]
	}
	return nil, fmt.Errorf("%s: entry %d is not in it", path, index)
}

type checkpoint struct {
	origin string
	tlog.Tree
}

func parse(text string) (checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 {
		return checkpoint{}, errors.New("no checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return checkpoint{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return checkpoint{lines[0], tlog.Tree{N: size, Hash: root}}, err
}

func (c client) open(path string, verifier note.Verifier) (string, error) {
	data, err := c.get(path)
	if err != nil {
		return "", err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return opened.Text, nil
}

// logKey is what the instance key says of the first log key.
func (c client) logKey(instance note.Verifier) (note.Verifier, error) {
	text, err := c.open("log-keys/00000001", instance)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(text, "\n")
	if len(lines) < 3 {
		return nil, errors.New("no certificate")
	}
	return note.NewVerifier(lines[2])
}

// notes takes notes apart that stand one behind the other: each ends with its signatures.
func notes(texts string) []string {
	var found []string
	start, at, signed := 0, 0, false
	for _, line := range strings.SplitAfter(texts, "\n") {
		signature := strings.HasPrefix(line, "\u2014 ")
		if signed && !signature {
			found = append(found, texts[start:at])
			start = at
		}
		signed = signature
		at += len(line)
	}
	return found
}

// history checks that every checkpoint that was kept is a beginning of the tree.
func (c client) history(tree tlog.Tree, hashes tlog.HashReader, verifier note.Verifier) (int, error) {
	data, err := c.get("checkpoints/000")
	if err != nil {
		return 0, err
	}
	checked := 0
	for _, text := range notes(string(data)) {
		opened, err := note.Open([]byte(text), note.VerifierList(verifier))
		if err != nil {
			return 0, fmt.Errorf("a kept checkpoint: %w", err)
		}
		kept, err := parse(opened.Text)
		if err != nil {
			return 0, err
		}
		proof, err := tlog.ProveTree(tree.N, kept.N, hashes)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, kept.N, kept.Hash); err != nil {
			return 0, fmt.Errorf("the checkpoint of %d entries: %w", kept.N, err)
		}
		checked++
	}
	return checked, nil
}

func run(dir, keyFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	instance, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, http.FileServer(http.Dir(dir)))
	c := client{"http://" + listener.Addr().String()}
	verifier, err := c.logKey(instance)
	if err != nil {
		return err
	}
	text, err := c.open("checkpoint", verifier)
	if err != nil {
		return err
	}
	head, err := parse(text)
	if err != nil {
		return err
	}
	// every hash that it reads is authenticated against the tree head
	hashes := tlog.TileHashReader(head.Tree, c)
	root, err := tlog.TreeHash(head.N, hashes)
	if err != nil || root != head.Hash {
		return fmt.Errorf("the tree head does not hold: %v", err)
	}
	step := head.N/samples + 1
	included := 0
	for index := int64(0); index < head.N; index += step {
		entry, err := c.entry(index, head.N)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(head.N, index, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, head.N, head.Hash, index, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		included++
	}
	kept, err := c.history(head.Tree, hashes, verifier)
	if err != nil {
		return err
	}
	fmt.Printf("%s %d entries, %d included, %d checkpoints consistent\n", head.origin, head.N, included, kept)
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: tlog_client DIRECTORY INSTANCE_KEY_FILE")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
