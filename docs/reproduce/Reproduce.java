// The mask of a dropout and the exact norm of gradients, bit for bit as evenkeel has them, without evenkeel.
//
//     java Reproduce.java cases.txt        (Java 17)
//
// Copy what you need: block, keep and maskBytes are the mask; Partial is the norm. docs/numerics.md explains both.

import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;

public final class Reproduce {
    /** Words 8 * number to 8 * number + 7 of the seed's stream: Philox4x64-10, as NumPy has it. All longs are unsigned. */
    static int[] block(long seed, long number) {
        long[] c = {number + 1, 0, 0, 0}; // NumPy increments the counter before it makes a block
        long key0 = seed, key1 = 0;
        for (int round = 0; round < 10; round++) {
            long m0 = 0xD2E7470EE14C6C93L, m1 = 0xCA5A826395121157L;
            long high0 = unsignedHigh(m0, c[0]), high1 = unsignedHigh(m1, c[2]);
            c = new long[] {high1 ^ c[1] ^ key0, m1 * c[2], high0 ^ c[3] ^ key1, m0 * c[0]};
            key0 += 0x9E3779B97F4A7C15L;
            key1 += 0xBB67AE8584CAA73BL;
        }
        int[] words = new int[8];
        for (int i = 0; i < 8; i++) {
            words[i] = (int) (c[i / 2] >>> (32 * (i % 2))); // the low half of every 64-bit word comes first
        }
        return words;
    }

    /** The upper half of the unsigned product; Math.unsignedMultiplyHigh from Java 18 on. */
    static long unsignedHigh(long a, long b) {
        return Math.multiplyHigh(a, b) + ((a >> 63) & b) + ((b >> 63) & a);
    }

    /** Whether draw i of the seed's stream keeps its element. */
    static boolean keep(double p, long seed, long i) {
        long threshold = (long) Math.ceil(p * 0x1p32); // 2^32, for p = 1, needs 33 bits
        return Integer.toUnsignedLong(block(seed, i >>> 3)[(int) (i & 7)]) >= threshold;
    }

    /**
     * The bytes of `mask` in a DropoutResponse: bit i % 8 of byte i / 8, from the lowest; the last byte is padded with 0. A
     * faster program makes each block once, for its eight draws.
     */
    static byte[] maskBytes(double p, long seed, long offset, int n) {
        byte[] mask = new byte[(n + 7) / 8];
        for (int i = 0; i < n; i++) {
            if (keep(p, seed, offset + i)) {
                mask[i / 8] |= (byte) (1 << (i % 8));
            }
        }
        return mask;
    }

    /** The NormPartial of order 2; `sum` is the sum of the squares of the finite elements, in units of 2^-2148. */
    record Partial(long elements, long nan, long infinite, BigInteger sum) {
        static final Partial NOTHING = new Partial(0, 0, 0, BigInteger.ZERO);

        /** The partial with one more element. A float becomes a double without rounding. */
        Partial plus(double x) {
            if (Double.isNaN(x)) {
                return merge(new Partial(1, 1, 0, BigInteger.ZERO));
            }
            if (Double.isInfinite(x)) {
                return merge(new Partial(1, 0, 1, BigInteger.ZERO));
            }
            // In units of 2^-1074, the smallest double above 0, every finite double is a whole number.
            long bits = Double.doubleToRawLongBits(x), fraction = bits & ((1L << 52) - 1);
            int exponent = (int) (bits >>> 52 & 0x7FF);
            BigInteger units =
                    exponent == 0
                            ? BigInteger.valueOf(fraction)
                            : BigInteger.valueOf(fraction | 1L << 52).shiftLeft(exponent - 1);
            return merge(new Partial(1, 0, 0, units.multiply(units)));
        }

        /** The partial with the elements of another as well. */
        Partial merge(Partial other) {
            return new Partial(
                    elements + other.elements, nan + other.nan, infinite + other.infinite, sum.add(other.sum));
        }

        /** The sum as in a message: little-endian, no zeros at the end. */
        byte[] sumBytes() {
            byte[] bytes = new byte[(sum.bitLength() + 7) / 8];
            byte[] bigEndian = sum.toByteArray(); // may have a leading zero, for a sign
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = bigEndian[bigEndian.length - 1 - i];
            }
            return bytes;
        }

        /** The square root of the sum, rounded once, to nearest, ties to even. */
        double norm() {
            if (nan > 0) {
                return Double.NaN;
            }
            if (infinite > 0) {
                return Double.POSITIVE_INFINITY;
            }
            BigInteger root = sum.sqrt(); // rounded down, in units of 2^-1074, the root of the sum's unit
            int shift = Math.max(root.bitLength() - 53, 0); // how many of its bits a double has no room for
            if (shift > 2045) {
                return Double.POSITIVE_INFINITY; // 2^1024 and above
            }
            long mantissa = root.shiftRight(shift).longValueExact();
            // Which neighbour is nearer? Compare the sum with the square of the middle between them, both times 4.
            BigInteger middle = BigInteger.valueOf(2 * mantissa + 1).shiftLeft(shift);
            int nearer = sum.shiftLeft(2).compareTo(middle.multiply(middle));
            if (nearer > 0 || nearer == 0 && mantissa % 2 == 1) {
                mantissa++;
            }
            // In the bits of a double the exponent lies above the mantissa without its highest bit. Adding the mantissa with
            // that bit adds 1 to the exponent. So the sum is right for subnormal numbers, and for a carry into the next power
            // of two or into infinity.
            return Double.longBitsToDouble(((long) shift << 52) + mantissa);
        }
    }

    /** The number that is written as `float32:` or `float64:` and its bits, in hexadecimal. */
    static double number(String text) {
        String digits = text.substring(text.indexOf(':') + 1);
        return text.startsWith("float32")
                ? Float.intBitsToFloat(Integer.parseUnsignedInt(digits, 16))
                : Double.longBitsToDouble(Long.parseUnsignedLong(digits, 16));
    }

    static Partial measure(List<String> elements) {
        Partial partial = Partial.NOTHING;
        for (String element : elements) {
            partial = partial.plus(number(element));
        }
        return partial;
    }

    static void printNorm(String name, List<String> elements) {
        int cut = elements.indexOf("/"); // where the list is cut in two, each part measured by itself
        Partial first = measure(elements.subList(0, cut));
        Partial second = measure(elements.subList(cut + 1, elements.size()));
        Partial merged = first.merge(second);
        print(name, "first", first);
        print(name, "second", second);
        print(name, "merged", merged);
        double total = merged.norm();
        String decimal = Double.toString(total).equals("Infinity") ? "inf" : "nan";
        if (Double.isFinite(total)) {
            decimal = String.format(Locale.ROOT, "%.16e", new BigDecimal(total));
        }
        System.out.printf("norm %s total %016x %s%n", name, Double.doubleToLongBits(total), decimal);
    }

    static void print(String name, String which, Partial part) {
        String sum = dash(part.sumBytes());
        System.out.printf("norm %s %s %d %d %d %s%n", name, which, part.elements, part.nan, part.infinite, sum);
    }

    static String dash(byte[] bytes) {
        return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
    }

    public static void main(String[] arguments) throws IOException {
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            List<String> words = Arrays.asList(line.trim().split("\\s+"));
            if (words.get(0).equals("mask")) {
                long seed = Long.parseUnsignedLong(words.get(2)), offset = Long.parseUnsignedLong(words.get(3));
                byte[] mask = maskBytes(
                        Double.parseDouble(words.get(1)), seed, offset, Integer.parseInt(words.get(4)));
                System.out.println(String.join(" ", words) + " " + dash(mask));
            } else if (words.get(0).equals("norm")) {
                printNorm(words.get(1), words.subList(2, words.size()));
            }
        }
    }
}
