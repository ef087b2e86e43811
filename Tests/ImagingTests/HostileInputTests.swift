import Foundation
import Imaging
import Testing

private func failure(_ bytes: [UInt8], limits: ImageLimits = .standard) -> ImagingError? {
    do {
        _ = try ImageFile.decode(bytes: bytes, name: "hostile", limits: limits)
        return nil
    } catch {
        return error as? ImagingError
    }
}

@Suite struct HostileInputTests {
    @Test func everyTruncationOfAPNGIsAnError() throws {
        let whole = try Fixture.bytes("rgb8.png")
        for count in 0..<whole.count {
            let code = failure(Array(whole[..<count]))?.code
            #expect(code == (count < 8 ? .notAnImage : .damaged), "first \(count) bytes")
        }
    }

    @Test(arguments: ["jpeg-420.jpg", "jpeg-progressive.jpg", "jpeg-grey.jpg"])
    func everyTruncationOfAJPEGIsAnError(name: String) throws {
        let whole = try Fixture.bytes(name)
        for count in 0..<whole.count {
            let code = failure(Array(whole[..<count]))?.code
            #expect(code == (count < 3 ? .notAnImage : .damaged), "first \(count) bytes")
        }
    }

    /// Every byte of a PNG's image is under a checksum, so each damaged byte there must be noticed.
    @Test func everyDamagedByteOfIDATIsAnError() throws {
        let whole = try Fixture.bytes("rgb8.png")
        let start = 8 + 25 + 8  // signature, IHDR, and the length and name of IDAT
        for index in start..<whole.count - 12 {
            var damaged = whole
            damaged[index] ^= 0x10
            #expect(failure(damaged)?.code == .damaged, "byte \(index)")
        }
    }

    @Test func damagedBytesNeverCrash() throws {
        for name in [
            "palette8-trns.png", "grey16-interlaced.png", "jpeg-progressive.jpg", "jpeg-420.jpg", "exif-6.jpg",
        ] {
            let whole = try Fixture.bytes(name)
            for index in 0..<whole.count {
                var damaged = whole
                damaged[index] ^= UInt8(1 << (index % 8))
                _ = try? ImageFile.decode(bytes: damaged, exif: .apply)
                _ = try? LabelFile.decode(bytes: damaged)
            }
        }
    }

    @Test func headerOfAGiantIsRefusedBeforeMemoryIsTaken() throws {
        let error = failure(try Fixture.bytes("bomb.png"))
        #expect(error?.code == .overLimit)
        #expect(
            error?.description
                == "hostile: 50000 x 50000 pixels exceed the limit of 16384 per side; downscale or tile the image")
        let small = ImageLimits(pixels: 100)
        #expect(failure(try Fixture.bytes("rgb8.png"), limits: small)?.code == .overLimit)
        #expect(failure(try Fixture.bytes("jpeg-420.jpg"), limits: small)?.code == .overLimit)
    }

    /// Without a limit, the first scan of a chroma component could be repeated, and decoded, any number of times.
    @Test func endlessProgressiveScansAreRefused() throws {
        let whole = try Fixture.bytes("jpeg-progressive.jpg")
        func markers(_ marker: UInt8) -> [Int] {
            whole.indices.dropLast().filter { whole[$0] == 0xFF && whole[$0 + 1] == marker }
        }
        let scan = markers(0xDA)[2]
        let end = try #require(markers(0xC4).first { $0 > scan })
        func repeated(_ count: Int) -> [UInt8] {
            whole[..<scan] + Array(repeatElement(whole[scan..<end], count: count).joined()) + whole[end...]
        }
        #expect(failure(repeated(50)) == nil)
        #expect(failure(repeated(10_000))?.code == .overLimit)
        #expect(failure(whole, limits: ImageLimits(scans: 3))?.code == .overLimit)
    }

    @Test func workingMemoryOfAProgressiveJPEGIsBounded() throws {
        let whole = try Fixture.bytes("jpeg-progressive-flat.jpg")
        #expect(failure(whole, limits: ImageLimits(workingBytes: 1 << 19))?.code == .overLimit)
        #expect(failure(whole, limits: ImageLimits(workingBytes: 1 << 21)) == nil)
    }

    @Test func otherContentIsNamed() throws {
        #expect(failure([])?.code == .notAnImage)
        #expect(failure(Array("<!DOCTYPE html><html></html>".utf8))?.code == .notAnImage)
        #expect(failure(Array("GIF89a".utf8))?.code == .notAnImage)
        #expect(failure([0xFF, 0xD8, 0xFF, 0xD9])?.code == .damaged)
    }

    @Test func otherKindsAreNamed() throws {
        #expect(failure(try Fixture.bytes("jpeg-cmyk.jpg"))?.code == .unsupported)
        // SOF9 is arithmetic coding.
        var arithmetic = try Fixture.bytes("jpeg-444.jpg")
        let frame = try #require(
            arithmetic.indices.dropLast().first { arithmetic[$0] == 0xFF && arithmetic[$0 + 1] == 0xC0 })
        arithmetic[frame + 1] = 0xC9
        #expect(failure(arithmetic)?.code == .unsupported)
        var deep = try Fixture.bytes("jpeg-444.jpg")
        deep[frame + 1] = 0xC1
        deep[frame + 4] = 12
        #expect(failure(deep)?.code == .unsupported)
        for name in ["rgb8.png", "grey-alpha8.png", "jpeg-grey.jpg"] {
            let error = #expect(throws: ImagingError.self) { try LabelFile.decode(path: Fixture.path(name)) }
            #expect(error?.code == .unsupported && error?.remedy.contains("grey or palette PNG") == true)
        }
    }

    @Test func onlyRegularFilesAreRead() throws {
        func code(_ path: String) -> ImagingError.Code? {
            do { _ = try ImageFile.decode(path: path) } catch { return (error as? ImagingError)?.code }
            return nil
        }
        try Fixture.withTemporaryFolder { folder in
            #expect(code(folder) == .unreadable)
            #expect(code(folder + "/missing.png") == .unreadable)
            #expect(code(folder + "/zero\0byte.png") == .unreadable)
            #expect(mkfifo(folder + "/fifo", 0o600) == 0)
            #expect(code(folder + "/fifo") == .unreadable)
            #expect(code("/dev/zero") == .unreadable)
            try Data().write(to: URL(fileURLWithPath: folder + "/empty.jpg"))
            #expect(code(folder + "/empty.jpg") == .notAnImage)
            let path = Fixture.path("rgb8.png")
            let error = #expect(throws: ImagingError.self) {
                try ImageFile.decode(path: path, limits: ImageLimits(fileBytes: 100))
            }
            #expect(error?.code == .overLimit && error?.file == path)
        }
    }

    @Test func malformedExifCountsAsUpright() throws {
        let whole = try Fixture.bytes("exif-6.jpg")
        let start = try #require(whole.indices.first { whole[$0...].starts(with: Array("Exif".utf8)) })
        for index in start..<start + 30 {
            var damaged = whole
            damaged[index] = 0xFF
            let image = try ImageFile.decode(bytes: damaged, exif: .apply)
            #expect([(8, 16), (16, 8)].contains { $0 == (image.width, image.height) })
        }
    }
}
