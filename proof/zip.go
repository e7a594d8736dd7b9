package proof

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The zip that Ambit writes (APPNOTE.TXT 4.3) is the plainest there is: members
// stored, sizes in the local header, all times 1980-01-01, mode 0644. It is
// written by hand because the bytes are a format to keep, and archive/zip
// promises none. Storing leaves nothing to expand when a hostile one is read.
const (
	localSize     = 30
	localMagic    = 0x04034b50
	centralMagic  = 0x02014b50
	endMagic      = 0x06054b50
	zipVersion    = 10        // 1.0: stored members
	zipDate       = 1<<5 | 1  // 1980-01-01
	zipMadeBy     = 3<<8 | 20 // Unix
	zipAttributes = 0100644 << 16
)

// pack returns the archive of members under names.
func pack(names []string, members [][]byte) []byte {
	le := binary.LittleEndian
	// common appends what local header and directory share.
	common := func(b []byte, i int) []byte {
		b = le.AppendUint16(b, zipVersion)
		b = le.AppendUint16(b, 0) // flags
		b = le.AppendUint16(b, 0) // stored
		b = le.AppendUint16(b, 0) // 00:00:00
		b = le.AppendUint16(b, zipDate)
		b = le.AppendUint32(b, crc32.ChecksumIEEE(members[i]))
		b = le.AppendUint32(b, uint32(len(members[i])))
		b = le.AppendUint32(b, uint32(len(members[i])))
		b = le.AppendUint16(b, uint16(len(names[i])))
		return le.AppendUint16(b, 0) // extra
	}
	var file, directory []byte
	for i, name := range names {
		directory = le.AppendUint32(directory, centralMagic)
		directory = le.AppendUint16(directory, zipMadeBy)
		directory = common(directory, i)
		directory = append(directory, 0, 0, 0, 0, 0, 0) // comment, disk, internal attributes
		directory = le.AppendUint32(directory, zipAttributes)
		directory = le.AppendUint32(directory, uint32(len(file)))
		directory = append(directory, name...)

		file = common(le.AppendUint32(file, localMagic), i)
		file = append(append(file, name...), members[i]...)
	}
	at := len(file)
	file = append(file, directory...)
	file = le.AppendUint32(file, endMagic)
	file = append(file, 0, 0, 0, 0) // disks
	file = le.AppendUint16(file, uint16(len(names)))
	file = le.AppendUint16(file, uint16(len(names)))
	file = le.AppendUint32(file, uint32(len(directory)))
	file = le.AppendUint32(file, uint32(at))
	return le.AppendUint16(file, 0) // comment
}

// unpack returns the members of an archive that pack made of names. It follows
// sizes only; the caller packs again and compares.
func unpack(file []byte, names []string) ([][]byte, error) {
	members := make([][]byte, len(names))
	for i, name := range names {
		if len(file) < localSize || binary.LittleEndian.Uint32(file) != localMagic {
			return nil, errors.New("bundle is not an evidence bundle: no zip member where one is due")
		}
		size := uint64(binary.LittleEndian.Uint32(file[18:]))
		head := uint64(localSize + len(name))
		if uint64(len(file)) < head+size || string(file[localSize:head]) != name {
			return nil, fmt.Errorf("bundle is not an evidence bundle: member %s is missing or cut short", name)
		}
		members[i], file = file[head:head+size:head+size], file[head+size:]
	}
	return members, nil
}
